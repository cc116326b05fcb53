"""Finished tables of pass rates: formatted numbers under names that a reader knows."""

from collections.abc import Mapping, Sequence

import pandas as pd

from densing.checks import check_range
from densing.fitters.task_scaling.estimator import TaskScalingLaw
from densing.fitters.task_scaling.stopped import mean_rate
from densing.lab.pass_rates.plan import WRITTEN_FAMILY, task_title


def pass_task_table(counted: pd.DataFrame, laws: pd.DataFrame) -> pd.DataFrame:
    """Every counted task with its rates at the deciding size and its law.

    Parameters
    ----------
    counted : from `counted_pass_tasks`. laws : from `law_study`.
    """
    own = counted[counted["counted"]].merge(laws, on="task", suffixes=("_ratio", ""), how="left")
    return pd.DataFrame(
        {
            "task": own["task"].map(task_title),
            "rate": own["rate"].map("{:.2g}".format),
            "blind rate": own["blind"].map("{:.2g}".format),
            "α (95 %)": [
                _interval(*ends) for ends in own[["alpha", "alpha_lower", "alpha_upper"]].to_numpy()
            ],
            "R²": own["r_squared"].map("{:.3f}".format),
            "curvature (95 %)": [
                _interval(*ends) for ends in own[["curvature", "lower", "upper"]].to_numpy()
            ],
        }
    )


def _interval(value: float, lower: float, upper: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f} ({lower:.3f} to {upper:.3f})"


def forecast_table(forecasts: pd.DataFrame, least: float = 1e-3) -> pd.DataFrame:
    """Medians of the deviations by way, from `rate_forecasts`: over all forecasts, and where the rate is not tiny.

    Parameters
    ----------
    forecasts : from `rate_forecasts`.
    least : observed rate from which on a second set of columns counts.
    """
    check_range("least", least, 0, 1)
    names = {
        "instance": "law of instances, counts",
        "test set": "law of the test set, counts",
        "exact": "law of instances, exact",
    }
    parts = {
        "": forecasts,
        f" at ≥ {100 * least:g} %": forecasts[forecasts["observed"] >= least],
    }
    rows = []
    for way in forecasts["way"].unique():
        row = {"forecast": names.get(way, way)}
        for label, part in parts.items():
            own = part[part["way"] == way]
            row |= {
                f"points{label}": f"{own['points'].median():.2g}",
                f"|ln ratio|{label}": f"{own['log_ratio'].median():.2f}",
                f"covered{label}": f"{own['covered'].sum()} of {len(own)}" if way in names else "",
            }
        rows.append(row)
    return pd.DataFrame(rows)


def pass_density_table(densities: pd.DataFrame) -> pd.DataFrame:
    """Median and quartiles over tasks of the density of each member, from `pass_density`."""
    quartiles = densities.groupby("size", sort=False)["density"].quantile([0.25, 0.5, 0.75]).unstack()
    columns = ["held out", "lower quartile", "median", "upper quartile"]
    return pd.DataFrame(
        [(size, *(f"{v:.2g}" for v in row)) for size, *row in quartiles.itertuples()], columns=columns
    )


def written_table(items: pd.DataFrame, sizes: Sequence[str]) -> pd.DataFrame:
    """Sampled rates of word problems with written steps, where many solutions are right, beside the answer alone.

    Parameters
    ----------
    items : from `pass_items`. sizes : rows of the table.
    """
    columns = {}
    for family, name in ((WRITTEN_FAMILY, "steps written"), ("steps", "answer only")):
        for grade in sorted(items.loc[items["family"] == family, "grade"].unique()):
            cells = []
            for size in sizes:
                own = items[(items["task"] == f"{family}-{grade}") & (items["size"] == size)]
                rate = mean_rate(own["passes"], own["samples"], own["censored"])
                cells.append(f"{rate:.2g}")
            columns[f"{name}, {grade}"] = cells
    return pd.DataFrame({"size": list(sizes), **columns})


def published_table(bends: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Lines and bends of published accuracies.

    Parameters
    ----------
    bends : label to what `published_bends` found.
    """
    rows = []
    for label, frame in bends.items():
        for row in frame.itertuples():
            rows.append(
                {
                    "models": label,
                    "task": row.task,
                    "α (95 %)": _interval(row.alpha, row.alpha_lower, row.alpha_upper),
                    "R²": f"{row.r_squared:.3f}",
                    "curvature (95 %)": _interval(row.curvature, row.lower, row.upper),
                }
            )
    return pd.DataFrame(rows)


def own_rate_report(
    counts: pd.DataFrame, target: float, *, draws: int = 1_000, seed: int = 0
) -> tuple[pd.DataFrame, str]:
    """What one's own pass counts say of a planned size, as a table, and of the law itself, as a sentence.

    Parameters
    ----------
    counts : as `TaskScalingLaw.fit` takes them; without a column censored the numbers of samples were fixed. With five
        instances or more the laws of instances are fitted too.
    target : parameters of the planned model.
    draws, seed : of the curvature's bootstrap over instances; needs four sizes.
    """
    check_range("target", target, 0, open_low=True)
    if "censored" not in counts:
        counts = counts.assign(censored=True)
    line = TaskScalingLaw().fit(counts)
    fits = {"law of the test set": line}
    if counts["instance"].nunique() >= 5:
        fits["laws of the instances"] = TaskScalingLaw().fit(counts, "instance")
    rows = []
    for label, fit in fits.items():
        found = fit.predict(target).iloc[0]
        rows.append(
            {
                "fit": label,
                f"rate at {target:.3g} parameters": f"{found['rate']:.3g}",
                "95 % interval of the law": f"{found['law_lower']:.3g} to {found['law_upper']:.3g}",
                "95 % for a new model": f"{found['lower']:.3g} to {found['upper']:.3g}",
            }
        )
    text = f"exponent {line.alpha:.3f}"
    if counts["size"].nunique() >= 4:
        bend = line.curvature_test(draws=draws, seed=seed)
        text += f", curvature {bend.curvature:.3f}, p = {bend.p_value:.2f}"
    return pd.DataFrame(rows), text
