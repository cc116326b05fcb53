"""The reference family: its recipe, its runs and its checkpoints."""
