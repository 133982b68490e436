"""Spotting: finding gestures in whole videos. Posteriors of frames → segments (``decoding``), and their scores (``scoring``)."""
