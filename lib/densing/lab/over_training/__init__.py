"""The published over-trained runs, and fits to compare the paper's with."""
