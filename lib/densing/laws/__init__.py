"""Functional forms: laws of named parameters and arrays that know their own derivatives."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "base": ["Law", "Parameter", "get", "known_laws"],
        "capability.decay": ["exponential", "exponential_decay"],
        "capability.growth": [
            "DAYS_PER_MONTH",
            "combined_doubling",
            "density_ratio",
            "doubling_months",
            "halving_time",
            "rate_change",
        ],
        "capability.saturation": ["sigmoid"],
        "capability.sigmoid": ["chance_logit", "loss_to_score", "score_to_loss"],
        "loss.chinchilla": ["chinchilla"],
        "loss.compute_optimal": ["chinchilla_allocation", "kaplan_allocation", "tokens_per_parameter"],
        "loss.data_repeat": ["data_repeat"],
        "loss.floating_point": ["critical_tokens", "floating_point", "integer_precision", "optimal_layout"],
        "loss.hestness": ["hestness"],
        "loss.kaplan": ["critical_batch", "kaplan_n", "kaplan_nd", "kaplan_ns", "steps_and_tokens"],
        "loss.multilingual": ["effective_fraction", "multilingual"],
        "loss.overtraining": [
            "from_chinchilla",
            "optimal_multiplier",
            "overtraining",
            "price_of_multiplier",
            "size_ratio_of_multiplier",
            "to_chinchilla",
            "tokens_to_reach",
        ],
        "loss.power": ["hestness_power", "power", "power_constant"],
        "loss.translation": ["additive_translation", "optimal_split", "translation"],
        "loss.vocabulary": ["vocabulary"],
        "vocabulary_size": [
            "RELEASED",
            "DerivativeCoefficients",
            "IsoFlopCoefficients",
            "ParametricCoefficients",
            "cheapest_vocabulary",
            "embedding_width",
            "vocabulary_flops",
            "matching_flops",
            "optimal_vocabulary",
            "tokens_per_character",
        ],
    },
)
