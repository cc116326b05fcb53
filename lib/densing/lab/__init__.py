"""Sweeps, recorded runs, the reference family and its density yardstick."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "over_trained": [
            "ERROR_LAWS",
            "ROLES",
            "TASKS_17",
            "error_law",
            "error_law_fits",
            "neighbouring_designs",
            "other_loss_fits",
            "over_trained_runs",
            "target_errors",
        ],
        "published.charts": [
            "density_chart",
            "forecast_chart",
            "interval_chart",
            "null_chart",
            "specification_chart",
        ],
        "fitting.coverage": ["coverage_specs", "coverage_table"],
        "fitting.speed": ["chinchilla_runs", "speed_specs", "trace_specs"],
        "published.curves": ["CHANCE", "CORE5", "ORIGIN", "REFERENCES", "ReferenceCurves"],
        "published.density": ["published_density"],
        "published.joint": ["joint_growth"],
        "published.lines": ["doubling_by_version", "doubling_table", "fit_lines", "record_table"],
        "published.noise": ["ReportingNoise", "reporting_noise", "uncertain_density"],
        "published.report": ["GrowthReport", "growth_report"],
        "published.specifications": ["ESTIMATORS", "specification_curve", "table_versions"],
        "published.table": ["planted_models", "read_models_table"],
        "runs": ["RunSpec", "load_runs", "merge_rows", "missing", "rerun_sample"],
        "sweeps": ["estimate_seconds", "run_sweep"],
        "vocabulary": [
            "LADDER",
            "VOCABULARY_SIZES",
            "control_plan",
            "predicted_plan",
            "vocabulary_plan",
            "vocabulary_spec",
        ],
        "vocabulary_charts": [
            "compression_chart",
            "growth_chart",
            "ladder_chart",
            "own_growth_chart",
            "prediction_chart",
            "two_losses_chart",
        ],
        "vocabulary_ladder": [
            "as_checkpoints",
            "compare_vocabularies",
            "customary_vocabulary",
            "ladder_optima",
            "ladder_rows",
            "predicted_vocabulary",
        ],
    },
)
