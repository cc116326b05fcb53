"""Published accuracies on the law's scale: a caution, since an accuracy above chance is no pass rate."""

import numpy as np
import pandas as pd

from densing.checks import check_columns
from densing.errors import InputError
from densing.fitters.task_scaling.estimator import TaskScalingLaw

#: Non-embedding and total parameters of the Pythia models (Biderman et al. 2023, table of model sizes).
PYTHIA_PARAMETERS = {
    "70m": (18_915_328, 70_426_624), "160m": (85_056_000, 162_322_944), "410m": (302_311_424, 405_334_016),
    "1b": (805_736_448, 1_011_781_632), "1.4b": (1_208_602_624, 1_414_647_808),
    "2.8b": (2_517_652_480, 2_775_208_960), "6.9b": (6_444_163_072, 6_857_302_016),
    "12b": (11_327_027_200, 11_846_072_320),
}  # fmt: skip
_PYTHIA_TASKS = {
    "LAMBADA": ("lambada_openai_acc", 0.0), "SciQ": ("sciq_acc", 0.25), "ARC easy": ("arc_easy_acc", 0.25),
}  # fmt: skip
_OLMO_TASKS = {
    "HellaSwag": ("last5_acc_hellaswag_val", 0.25), "ARC easy": ("last5_acc_arc_easy_test", 0.25),
    "CommonsenseQA": ("last5_acc_csqa_val", 0.2),
}  # fmt: skip


def pythia_rates(evals: pd.DataFrame, *, total: bool = False) -> pd.DataFrame:
    """Zero-shot accuracies of the final Pythia models, chance taken out: (accuracy - chance) / (1 - chance).

    Parameters
    ----------
    evals : the published table pythia_checkpoint_evals.
    total : count embeddings too.

    Returns
    -------
    One row a task and model: task, n_parameters, model, rate. The deduplicated models are a second model of their size.

    Raises
    ------
    InputError : a missing column or an unknown size.
    """
    columns = [column for column, _ in _PYTHIA_TASKS.values()]
    check_columns("evals", evals.columns, ["size_label", "deduped", "shots", "step", *columns])
    unknown = set(evals["size_label"]) - set(PYTHIA_PARAMETERS)
    if unknown:
        raise InputError(
            f"evals: unknown size {sorted(unknown)[0]!r}; known are {', '.join(PYTHIA_PARAMETERS)}"
        )
    final = evals[(evals["step"] == evals["step"].max()) & (evals["shots"] == 0)]
    size = final["size_label"].map(lambda label: PYTHIA_PARAMETERS[label][int(total)])
    return _rates(final, size, final["deduped"], _PYTHIA_TASKS)


def olmo_rates(runs: pd.DataFrame, multiple: float = 1.0) -> pd.DataFrame:
    """Accuracies of the OLMo ladder at one multiple of compute-optimal tokens, chance taken out, as `pythia_rates`.

    Parameters
    ----------
    runs : the published table olmo_ladder_runs.
    multiple : 0.5, 1, 2, 5 or 10: tokens over 20 a parameter.
    """
    columns = [column for column, _ in _OLMO_TASKS.values()]
    check_columns("runs", runs.columns, ["params", "chinchilla_multiple", "rerun", *columns])
    own = runs[runs["chinchilla_multiple"] == multiple]
    if not len(own):
        raise InputError(
            f"multiple = {multiple!r}: must be one of {sorted(runs['chinchilla_multiple'].unique())}"
        )
    return _rates(own, own["params"], own["rerun"], _OLMO_TASKS)


def _rates(
    table: pd.DataFrame, size: pd.Series, model: pd.Series, tasks: dict[str, tuple[str, float]]
) -> pd.DataFrame:
    parts = []
    for task, (column, chance) in tasks.items():
        rate = (table[column] - chance) / (1 - chance)
        parts.append(pd.DataFrame({"task": task, "n_parameters": size, "model": model, "rate": rate}))
    return pd.concat(parts, ignore_index=True)


def published_bends(rates: pd.DataFrame, *, level: float = 0.95) -> pd.DataFrame:
    """Line and bend of F on ln N for every task of published rates; models at or below chance are left out.

    Parameters
    ----------
    rates : from `pythia_rates` or `olmo_rates`. level : of the intervals.

    Returns
    -------
    One row a task: task, models, alpha, alpha_lower, alpha_upper, r_squared, curvature, lower, upper, p_value.
    """
    rows = []
    for task, own in rates.groupby("task", sort=False):
        above = own[(own["rate"] > 0) & (own["rate"] < 1)]
        counts = pd.DataFrame(
            {
                "size": above["n_parameters"],
                "model": above["model"],
                "instance": "all",
                "log_p": np.log(above["rate"]),
            }
        )
        fit = TaskScalingLaw(level=level).fit(counts)
        bend = fit.curvature_test(draws=0)
        ends = (fit.alpha.value, fit.alpha.lower, fit.alpha.upper)
        curve = (bend.curvature.value, bend.curvature.lower, bend.curvature.upper)
        rows.append((task, len(above), *ends, fit.r_squared, *curve, bend.p_value))
    names = ["task", "models", "alpha", "alpha_lower", "alpha_upper", "r_squared"]
    return pd.DataFrame(rows, columns=[*names, "curvature", "lower", "upper", "p_value"])
