"""The book's own variants of the reference family: made, recorded, and held against their parents."""
