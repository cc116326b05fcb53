"""Objectives of training beyond the next token."""
