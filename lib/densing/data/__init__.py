"""Loaders: published tables, corpora, tokenizers, task generators, package archives."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "paths": ["output_folder", "repository_root"],
        "provenance": ["inputs_used", "record_external", "record_file", "start_recording"],
        "published": ["external_tables", "load_published", "published_path", "validate_table"],
    },
)
