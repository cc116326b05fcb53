"""A reader's own ladder on a reader's own text, and the density of any model against a ladder."""
