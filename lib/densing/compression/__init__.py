"""Compressed models: pruned and rounded weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "pruning": ["hold_masks", "magnitude_masks"],
        "rounding": ["Rounded", "round_to_nearest", "round_weights"],
    },
)
