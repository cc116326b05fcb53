"""Loaders: published tables, corpora, tokenizers, task generators, package archives."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "corpora": [
            "Document",
            "build_corpus",
            "corpus_digest",
            "corpus_manifest",
            "distribution_documents",
            "documents",
        ],
        "dedup": ["deduplicate"],
        "packing": ["pack"],
        "csv_files": ["read_csv_file"],
        "paths": ["output_folder", "repository_root"],
        "provenance": ["inputs_used", "record_external", "record_file", "start_recording"],
        "tokenizers": [
            "TokenCounts",
            "compression_curve",
            "encode_documents",
            "encoded_split",
            "load_tokenizer",
            "tokenizer_digest",
            "train_bpe",
        ],
        "published": ["external_tables", "load_published", "published_path", "validate_table"],
    },
)
