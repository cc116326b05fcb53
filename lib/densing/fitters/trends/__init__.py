"""Trends over time, and what chance alone would make of them."""
