"""Metrics and evaluators."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "batching": ["context_length", "row_losses"],
        "capability.battery": ["GENERATION_FAMILIES", "evaluate"],
        "capability.battery_summary": ["summarize"],
        "capability.choice": [
            "ChoiceMeasures",
            "EncodedChoices",
            "choice_log_p",
            "choice_measures",
            "multiple_choice_error",
        ],
        "capability.exact_pass": ["answer_losses", "exact_pass_probability"],
        "capability.pass_rate": ["PassRecord", "pass_at_k", "pass_rate", "pass_until"],
        "capability.pass_rate_sampling": ["exact_passes", "problem_name", "sampled_passes"],
        "capability.questions": ["CHOICE_FAMILIES", "ChoiceItem", "choice_items", "encode_choices"],
        "likelihood": ["bits_per_character", "document_losses", "unigram_normalized_loss"],
        "predictability.correlations": [
            "aggregate_correlations",
            "item_correlations",
            "permuted_correlations",
            "survival",
        ],
        "predictability.drops": ["StageDrops", "distractor_medians", "frozen_medians", "stage_drops"],
        "predictability.movement": ["MarginVariance", "choice_covariation", "margin_variance"],
        "predictability.resampling": ["Resampled", "resample_items"],
        "predictability.stages": ["STAGES", "ChoiceScores"],
        "text_loss": ["TextLosses", "text_bits_per_byte", "text_losses"],
    },
)
