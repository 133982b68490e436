"""What is in the data, and where networks fail and why."""
