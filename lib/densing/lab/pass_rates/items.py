"""Item rows as one table: every instance under every member, and which tasks count."""

from collections.abc import Collection, Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.checks import check_choice, check_range
from densing.data.skills.mixture import SKILLS
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate, cluster_weights
from densing.lab.family.study import recorded_floor_rule
from densing.lab.pass_rates.plan import WRITTEN_FAMILY

MODEL = ["n_parameters", "seed"]
#: A rate above this at the deciding size leaves nothing to forecast.
MOST = 0.9


def pass_items(rows: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Recorded rows and items joined.

    Parameters
    ----------
    rows, items : of the sweep, as `run_sweep` returns them.

    Returns
    -------
    One row an instance and member: size, n_parameters, seed, tokens, task (``family-grade``), family, grade, item,
    passes, samples, censored, and log_p, blind_log_p (nan where there are none).
    """
    about = rows[["digest", "row", "size", "n_parameters", "seed", "tokens", "family", "grade"]]
    frame = about.merge(items, on=["digest", "row"]).drop(columns=["digest", "row"])
    for name in ("log_p", "blind_log_p"):
        if name not in frame:
            frame[name] = np.nan
    grade = frame["grade"].astype(int)
    return frame.assign(grade=grade, task=frame["family"].astype(str) + "-" + grade.astype(str))


def floor_families() -> tuple[str, ...]:
    """Families that stayed on the floor in the trial of the family's mixture, by its recorded rows.

    Raises
    ------
    InputError : the trial is not recorded.
    """
    rule = recorded_floor_rule()
    return tuple(rule["family"][~rule["leaves"]])


def law_counts(
    items: pd.DataFrame, task: str, sizes: Sequence[str] | None = None, *, exact: bool = False
) -> pd.DataFrame:
    """The table that `TaskScalingLaw` takes: one task of some sizes, counted or exact.

    Raises
    ------
    InputError : a task that the items lack.
    """
    own = items[items["task"] == task]
    if sizes is not None:
        own = own[own["size"].isin(list(sizes))]
    if not len(own):
        check_choice("task", task, sorted(items["task"].unique()))
        raise InputError(f"sizes = {sizes!r}: no rows of {task!r}")
    columns = ["log_p"] if exact else ["passes", "samples", "censored"]
    frame = own[[*columns]].assign(size=own["n_parameters"], model=own["seed"], instance=own["item"])
    return frame.reset_index(drop=True)


def counted_pass_tasks(
    items: pd.DataFrame,
    size: str = "d0.4M",
    *,
    floor: Collection[str],
    draws: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Which tasks count: resolved above the blind rate at one size, not saturated there, held out, not on the floor.

    Parameters
    ----------
    items : from `pass_items`.
    size : the deciding size, the largest that laws are fitted to.
    floor : families that never count.
    draws, level, seed : of the paired bootstrap over instances; many draws, because some tasks are on the edge.

    Returns
    -------
    One row a task with exact rates: task, family, grade, rate and blind (means over instances and seeds), log_ratio
    with its lower and upper end, resolved, counted.
    """
    check_range("draws", draws, 1, integer=True)
    exact = items[items["log_p"].notna() & items["blind_log_p"].notna()]
    check_choice("size", size, sorted(exact["size"].unique()))
    rows = []
    for task, own in exact[exact["size"] == size].groupby("task", sort=False):
        ratio, rate, blind = log_ratio(own, draws=draws, level=level, seed=seed)
        family, grade = own["family"].iloc[0], int(own["grade"].iloc[0])
        resolved, held_out = bool(ratio.lower > 0), not SKILLS[family].memory(grade)
        counted = resolved and rate <= MOST and family not in floor and held_out
        rows.append(
            (task, family, grade, rate, blind, ratio.value, ratio.lower, ratio.upper, resolved, counted)
        )
    names = ["task", "family", "grade", "rate", "blind", "log_ratio", "lower", "upper", "resolved", "counted"]
    return pd.DataFrame(rows, columns=names)


def log_ratio(
    own: pd.DataFrame, *, draws: int = 2_000, level: float = 0.95, seed: int = 0
) -> tuple[Estimate, float, float]:
    """ln(rate / blind rate) of one task at one size, seeds averaged, paired over instances; and the two rates."""
    logs = [_seed_means(own, name) for name in ("log_p", "blind_log_p")]
    weights = _draws(len(logs[0]), draws, seed)
    means = [_log_mean(values, weights) for values in logs]
    ratio = means[0] - means[1]
    rates = [float(np.exp(mean[0])) for mean in means]
    return Estimate.from_draws(ratio[0], ratio[1:], level), *rates


@lru_cache(maxsize=8)
def _draws(instances: int, draws: int, seed: int) -> NDArray:
    """(1 + draws, instances) weights: every instance once, then the bootstrap's."""
    drawn = cluster_weights(np.arange(instances), draws, seed)
    return np.concatenate([np.ones((1, instances)), drawn])


def _seed_means(own: pd.DataFrame, name: str) -> NDArray:
    """(instances,) logarithm of the mean over seeds of a probability."""
    table = own.pivot(index="item", columns="seed", values=name).to_numpy(float)
    top = table.max(1)
    return top + np.log(np.exp(table - top[:, None]).mean(1))


def _log_mean(log_p: NDArray, weights: NDArray) -> NDArray:
    top = log_p.max()
    with np.errstate(divide="ignore"):
        return top + np.log(weights @ np.exp(log_p - top) / weights.sum(1))


def task_rates(items: pd.DataFrame) -> pd.DataFrame:
    """Exact rates by task and member: task, family, grade, size, n_parameters, seed, rate."""
    exact = items[items["log_p"].notna() & (items["family"] != WRITTEN_FAMILY)]
    keys = ["task", "family", "grade", "size", *MODEL]
    return exact.assign(rate=np.exp(exact["log_p"])).groupby(keys, sort=False)["rate"].mean().reset_index()
