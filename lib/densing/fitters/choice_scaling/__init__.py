"""Accuracy on multiple choice at a larger scale: from laws of every choice's likelihood, and the rivals."""
