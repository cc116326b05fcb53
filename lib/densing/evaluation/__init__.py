"""Metrics and evaluators."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "likelihood": ["bits_per_character", "document_losses", "unigram_normalized_loss"],
    },
)
