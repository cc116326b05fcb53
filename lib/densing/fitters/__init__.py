"""Estimators: robust fits of laws, bootstrap, trends and their null distributions."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bootstrap": ["Estimate", "cluster_bootstrap", "cluster_weights", "paired_bootstrap"],
        "vertex": ["QuadraticOptimum", "optimum_slope", "quadratic_optimum"],
        "overtraining.estimator": ["OverTraining"],
        "overtraining.interaction": ["MultiplierInteraction", "multiplier_interaction"],
        "overtraining.published": ["published_error_fit", "published_loss_fit"],
        "overtraining.results": ["OverTrainingResults"],
        "overtraining.subsets": ["SubsetFits", "fit_subsets", "identifying_subsets"],
        "quantile": ["quantile_slopes"],
        "scaling.baselines": ["NAIVE_RULES"],
        "scaling.estimator": ["ScalingLaw"],
        "scaling.extrapolation": ["compare", "extrapolation_error"],
        "scaling.frames": ["RUN_COLUMNS", "parse_columns"],
        "scaling.intervals": ["mahalanobis"],
        "scaling.reference": ["ReferenceFit", "published_grid_fit"],
        "scaling.results": ["ScalingLawResults"],
        "trends.breakpoint": ["BreakpointResults", "breakpoint_test"],
        "trends.chance": ["ExcessResults", "RecordTest", "excess_over_chance", "record_test"],
        "trends.curvature": ["curvature"],
        "trends.fit": ["TrendResults", "as_days", "fit_trend", "trend_lines"],
        "trends.forecast": ["rolling_forecast"],
        "trends.permutation": ["permutation_p", "permute_dates", "release_labels"],
        "trends.records": ["isotonic_frontier", "record_frontier", "running_maximum"],
        "vocabulary_size.derivative": ["DerivativeVocabulary", "fit_compression"],
        "vocabulary_size.isoflop": ["IsoFlopVocabulary"],
        "vocabulary_size.parametric": ["ParametricVocabulary"],
        "vocabulary_size.results": ["VocabularyResults", "huber_sum"],
    },
)
