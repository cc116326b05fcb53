"""Benchmarks of the book's own code, measured side by side in one run."""
