"""Capacity density of other people's models, from published scores alone."""
