"""Loaders: published tables, corpora, tokenizers, task generators, package archives."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "archives": ["Archive", "archive_path", "open_archive", "registered_archives"],
        "corpora": [
            "build_corpus",
            "corpus_digest",
            "corpus_manifest",
            "distribution_documents",
            "documents",
            "split_digest",
        ],
        "dedup": ["deduplicate"],
        "fetching": ["fetch_archives"],
        "out_of_domain": ["is_reserved_article", "out_of_domain_manifest", "reserved_addresses"],
        "packing": ["pack", "pack_mixed"],
        "csv_files": ["read_csv_file"],
        "text_files": ["read_texts"],
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
        "text_choice": ["Document"],
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
