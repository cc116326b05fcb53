"""What the chapter on pass rates measures: resolution, laws and bends of tasks, steps in a row."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from densing.checks import check_range
from densing.fitters.bootstrap import Estimate
from densing.fitters.multiplicity import holm
from densing.fitters.task_scaling.estimator import TaskScalingLaw
from densing.fitters.task_scaling.results import TestSetResults
from densing.fitters.task_scaling.scatter import scatter_of
from densing.fitters.task_scaling.stopped import mean_rate
from densing.lab.pass_rates.items import law_counts, log_ratio, task_rates
from densing.laws.capability.task_scaling import log_minus_log, steps_law, steps_log_minus_log

#: Least R^2 of a line that is called one.
LINE_R_SQUARED = 0.97
_CELL_COLUMNS = (
    "task", "size", "n_parameters", "greedy_passes", "greedy_n", "rate", "lower", "upper", "exact", "blind",
    "above_blind",
)  # fmt: skip
_LAW_COLUMNS = (
    "task", "sizes", "alpha", "alpha_lower", "alpha_upper", "r_squared", "curvature", "lower", "upper", "p_value",
    "straight", "linear",
)  # fmt: skip


def greedy_cells(
    rows: pd.DataFrame, items: pd.DataFrame, tasks: Sequence[str], *, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Tasks at sizes, all seeds together: greedy passes, sampled rate with its interval, exact and blind rate.

    Parameters
    ----------
    rows : recorded rows, with greedy_passes and greedy_n. items : from `pass_items`.
    tasks : some of them.
    level, seed : of the intervals, and of the bootstrap that resolves a cell above its blind rate.

    Returns
    -------
    One row a task and size: task, size, n_parameters, greedy_passes, greedy_n, rate, lower, upper (sampled), exact,
    blind, above_blind.
    """
    greedy = rows.assign(task=rows["family"] + "-" + rows["grade"].astype(int).astype(str))
    greedy = greedy.groupby(["task", "size"])[["greedy_passes", "greedy_n"]].sum()
    found = []
    for (task, size), own in items[items["task"].isin(tasks)].groupby(["task", "size"], sort=False):
        sampled = mean_rate(own["passes"], own["samples"], own["censored"], level)
        ratio, exact, blind = log_ratio(own, draws=500, level=level, seed=seed)
        found.append(
            {
                "task": task,
                "size": size,
                "n_parameters": own["n_parameters"].iloc[0],
                **greedy.loc[(task, size)].astype(int).to_dict(),
                "rate": sampled.value,
                "lower": sampled.lower,
                "upper": sampled.upper,
                "exact": exact,
                "blind": blind,
                "above_blind": bool(ratio.lower > 0),
            }
        )
    order = {task: i for i, task in enumerate(tasks)}
    return pd.DataFrame(found, columns=list(_CELL_COLUMNS)).sort_values(
        ["task", "n_parameters"],
        key=lambda column: column.map(order) if column.name == "task" else column,
        ignore_index=True,
    )


def resolution_quantities(cells: pd.DataFrame, tasks: Sequence[str]) -> dict[str, float]:
    """Quantities of the claim on resolution, from `greedy_cells`."""
    silent = cells[cells["greedy_passes"] == 0]
    above = silent["lower"] > 0
    rising = [
        stats.spearmanr(own["n_parameters"], own["exact"]).statistic > 0.8
        for _, own in cells.groupby("task")
        if len(own) > 2
    ]
    return {
        "n_cells": len(silent),
        "share_above_zero": float(above.mean()) if len(silent) else np.nan,
        "share_rising": float(np.mean(rising)) if rising else np.nan,
        "share_above_blind": float(silent["above_blind"].mean()) if len(silent) else np.nan,
        "smallest_rate": float(silent.loc[above, "rate"].min()) if above.any() else np.nan,
        "n_tasks": len(tasks),
    }


def spread_tasks(table: pd.DataFrame, count: int, by: str = "rate") -> list[str]:
    """Tasks to show: the first of every family, then the next of every family.

    Parameters
    ----------
    table : task and the column `by`, whose largest values come first.
    count : at most so many.
    """
    check_range("count", count, 1, integer=True)
    own = table.sort_values(by, ascending=False, kind="stable")
    own = own.assign(turn=own.groupby(own["task"].str.rpartition("-")[0]).cumcount())
    return own.sort_values(["turn", by], ascending=[True, False])["task"].head(count).tolist()


def hidden_tasks(cells: pd.DataFrame, count: int) -> list[str]:
    """Tasks with most sizes at which nothing is solved greedily and samples still pass; see `spread_tasks`."""
    hidden = (cells["greedy_passes"] == 0) & (cells["lower"] > 0)
    return spread_tasks(
        hidden.groupby(cells["task"], sort=False).sum().reset_index(name="hidden"), count, "hidden"
    )


def resolved_sizes(cells: pd.DataFrame) -> dict[str, list[str]]:
    """Sizes at which each task's rate is resolved above its blind rate, from `greedy_cells`."""
    return {task: own["size"][own["above_blind"]].tolist() for task, own in cells.groupby("task")}


def law_study(
    items: pd.DataFrame,
    tasks: Sequence[str],
    sizes: Sequence[str] | Mapping[str, Sequence[str]] | None = None,
    *,
    draws: int = 1_000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Law and bend of every task by exact rates.

    Parameters
    ----------
    items : from `pass_items`. tasks : some of them.
    sizes : of the members that are used, the same for every task or task by task; None: all.
    draws, seed : of the bootstraps over instances. level : of all intervals.

    Returns
    -------
    One row a task with at least four sizes: task, sizes (how many), alpha, alpha_lower, alpha_upper, r_squared,
    curvature, lower, upper, p_value, p_holm (over the rows), straight (the interval contains 0), linear (and R^2 is
    0.97 or more).
    """
    check_range("draws", draws, 0, integer=True)
    found = []
    for task in tasks:
        own = items[items["task"] == task]
        wanted = sizes[task] if isinstance(sizes, Mapping) else sizes
        kept = [size for size in own["size"].unique() if wanted is None or size in wanted]
        if len(kept) < 4:
            continue
        fit = TaskScalingLaw(level=level).fit(law_counts(own, task, kept, exact=True))
        bend = fit.curvature_test(draws=draws, seed=seed)
        straight = bend.curvature.lower <= 0 <= bend.curvature.upper
        found.append(
            {
                "task": task,
                "sizes": len(kept),
                "alpha": fit.alpha.value,
                "alpha_lower": fit.alpha.lower,
                "alpha_upper": fit.alpha.upper,
                "r_squared": fit.r_squared,
                "curvature": bend.curvature.value,
                "lower": bend.curvature.lower,
                "upper": bend.curvature.upper,
                "p_value": bend.p_value,
                "straight": straight,
                "linear": straight and fit.r_squared >= LINE_R_SQUARED,
            }
        )
    frame = pd.DataFrame(found, columns=list(_LAW_COLUMNS))
    frame["p_holm"] = holm(frame["p_value"]) if len(frame) else np.zeros(0)
    return frame


def law_quantities(fitted: pd.DataFrame, every: pd.DataFrame, tasks: Sequence[str]) -> dict[str, float]:
    """Quantities of the claim on the law, from `law_study` over the fitted sizes and over all."""
    return {
        "share_linear": _share(fitted["linear"]),
        "share_linear_all_sizes": _share(every["linear"]),
        "share_straight": _share(fitted["straight"]),
        "median_r_squared": float(fitted["r_squared"].median()),
        "median_half_width": float((fitted["upper"] - fitted["lower"]).median() / 2),
        "n_tasks": len(tasks),
    }


def bend_quantities(every: pd.DataFrame, resolved: pd.DataFrame, tasks: Sequence[str]) -> dict[str, float]:
    """Quantities of the claim on accelerated growth, from `law_study` over all sizes and over the resolved ones."""
    significant = every["p_holm"] < 0.05
    concave = every["task"][significant & (every["curvature"] < 0)]
    stays = resolved["task"][(resolved["p_holm"] < 0.05) & (resolved["curvature"] < 0)]
    return {
        "n_concave": len(concave),
        "n_concave_resolved": len(set(concave) & set(stays)),
        "n_convex": int((significant & (every["curvature"] > 0)).sum()),
        "n_linear": int(every["linear"].sum()),
        "least_curvature": float(every["curvature"].min()) if len(every) else np.nan,
        "n_tasks": len(tasks),
    }


def _share(flags: pd.Series) -> float:
    return float(flags.mean()) if len(flags) else np.nan


def curvature_trend(
    items: pd.DataFrame, tasks: Sequence[str], *, draws: int = 1_000, level: float = 0.95, seed: int = 0
) -> Estimate:
    """Change of the curvature of F with each further grade, along tasks of one family.

    The members are the same for every grade, so their scatter is taken of the weighted sum of the grades' F.

    Parameters
    ----------
    items : from `pass_items`. tasks : at least two grades of a family, four sizes or more.
    draws, seed : of the bootstrap over instances. level : of the interval.

    Returns
    -------
    nan with fewer than two tasks or four sizes.
    """
    sizes = items[items["task"].isin(tasks)].groupby("task")["size"].nunique()
    if len(tasks) < 2 or not len(sizes) or sizes.min() < 4:
        return Estimate(np.nan, np.nan, np.nan, level)
    fits = [TaskScalingLaw(level=level).fit(law_counts(items, task, exact=True)) for task in tasks]
    bends = [fit.curvature_test(draws=draws, seed=seed + i) for i, fit in enumerate(fits)]
    grade = np.array([float(task.rpartition("-")[2]) for task in tasks])
    weights = (grade - grade.mean()) / np.sum((grade - grade.mean()) ** 2)
    size = fits[0].table.size
    x = np.log(size) - np.log(size).mean()
    design = np.stack([np.ones_like(x), x, x**2], 1)
    influence = np.linalg.pinv(design)
    combined = sum(w * fit.F for w, fit in zip(weights, fits, strict=True))
    theta = influence @ combined
    models, degrees = scatter_of(combined - design @ theta, size, 3).variance(influence[2], size)
    instances = sum(w**2 * bend.instances_sd**2 for w, bend in zip(weights, bends, strict=True))
    total = models + instances
    fewest = min(len(fit.table.instances) for fit in fits)
    if instances:
        degrees = total**2 / (models**2 / degrees + instances**2 / (fewest - 1))
    half = stats.t.ppf((1 + level) / 2, degrees) * np.sqrt(total)
    return Estimate(theta[2], theta[2] - half, theta[2] + half, level)


def steps_identity(sets: int = 1_000, seed: int = 0) -> tuple[float, float]:
    """Largest |F of a product of steps - log-sum-exp of their lines|, and the least second derivative, on random steps.

    Parameters
    ----------
    sets : of two to eight steps, exponents 0.02 to 1.2, whose losses at the size drawn sum to 0.01 to 100 nats.
    seed : of them.
    """
    check_range("sets", sets, 1, integer=True)
    rng = np.random.default_rng(seed)
    errors, seconds = [], []
    for _ in range(sets):
        count = int(rng.integers(2, 9))
        alpha = rng.uniform(0.02, 1.2, count)
        N = np.exp(rng.uniform(np.log(1e4), np.log(1e10)))
        total = np.exp(rng.uniform(np.log(1e-2), np.log(100)))
        c = total * rng.dirichlet(np.ones(count)) * N**alpha
        F, second = steps_log_minus_log(N, c, alpha)
        errors.append(abs(float(log_minus_log(steps_law(N, c, alpha)) - F)))
        seconds.append(float(second))
    return max(errors), min(seconds)


def pass_density(items: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """Effective over actual size of every member by the law of each task, fitted without its size; exact rates.

    Returns
    -------
    One row a task and size: task, size, rate (mean over seeds), effective, density.
    """
    rates = task_rates(items).groupby(["task", "size"])[["rate", "n_parameters"]].mean()
    found = []
    for task in tasks:
        own = items[items["task"] == task]
        for size in own["size"].unique():
            fit: TestSetResults = TaskScalingLaw().fit(law_counts(own[own["size"] != size], task, exact=True))
            rate, actual = rates.loc[(task, size)]
            effective = fit.effective_size(float(rate))
            found.append((task, size, rate, effective, effective / actual))
    return pd.DataFrame(found, columns=["task", "size", "rate", "effective", "density"])


def law_band(fit: TestSetResults, at: NDArray) -> NDArray:
    """(3, m) F of the law and the ends of its interval at sizes `at`."""
    found = fit.predict(at)
    return np.stack([log_minus_log(found[name].to_numpy()) for name in ("rate", "law_upper", "law_lower")])
