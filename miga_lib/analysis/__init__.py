"""What is in the data, where networks fail and why, and answers to questions by pairs of runs."""
