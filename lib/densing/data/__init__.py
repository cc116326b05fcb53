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
        "packing": ["pack", "pack_mixed"],
        "csv_files": ["read_csv_file"],
        "paths": ["output_folder", "repository_root"],
        "provenance": ["inputs_used", "record_external", "record_file", "start_recording"],
        "skills.arithmetic": ["ArithmeticProblems"],
        "skills.causes": ["fallacy", "load_sayings"],
        "skills.facts": ["fact_values", "load_facts"],
        "skills.families": ["Problem", "SkillFamily", "is_training"],
        "skills.mixture": ["SKILLS", "evaluation_problems", "skills_documents", "skills_stream"],
        "skills.word_problems": [
            "ProblemGraph",
            "Relation",
            "Solution",
            "check_steps",
            "parse_answer",
            "solve",
        ],
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
