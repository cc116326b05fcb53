"""Decayed branches of a trunk against runs planned for their budgets, paired by seed."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from densing.checks import check_columns, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.lab.yardstick.rows import METRIC

_PAIR = ["size", "n_parameters", "tokens", "seed", "rate"]


@dataclass(frozen=True, eq=False)
class PlannedComparison:
    """Differences of loss, branch minus planned run.

    Attributes
    ----------
    pairs : one row a pair: size, n_parameters, tokens, seed, rate, branch, planned, difference.
    cells : their means by size and budget: size, n_parameters, tokens, difference, runs.
    difference : mean over the cells with its interval. spread : standard deviation pooled within cells, on
        `freedom` degrees of freedom.
    """

    pairs: pd.DataFrame
    cells: pd.DataFrame
    difference: Estimate
    spread: float
    freedom: int

    @property
    def largest_cell(self) -> float:
        """Largest absolute mean of a cell."""
        return float(self.cells["difference"].abs().max())


def compare_planned(
    runs: pd.DataFrame, planned: pd.DataFrame, metric: str = METRIC, *, level: float = 0.95
) -> PlannedComparison:
    """Mean difference over cells with the t interval of the pooled standard deviation within cells.

    Parameters
    ----------
    runs : decayed branches. planned : runs planned for one budget; each needs the branch of its size, budget, seed and
        peak rate.
    metric : loss of both tables. level : of the interval.

    Raises
    ------
    InputError : a missing column, a planned run without its branch (named), or no cell with two seeds.
    """
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    for name, frame in (("runs", runs), ("planned", planned)):
        check_columns(name, frame.columns, [*_PAIR, metric])
    columns = [*_PAIR, metric]
    pairs = planned[columns].merge(runs[columns], on=_PAIR, how="left", suffixes=("_planned", "_branch"))
    pairs = pairs.rename(columns={f"{metric}_planned": "planned", f"{metric}_branch": "branch"})
    if (alone := pairs["branch"].isna()).any():
        one = pairs[alone].iloc[0]
        raise InputError(
            f"planned: {one['size']}, {one['tokens']:g} tokens, seed {one['seed']}, rate {one['rate']:g} has no branch"
        )
    pairs["difference"] = pairs["branch"] - pairs["planned"]
    cells = (
        pairs.groupby(["n_parameters", "size", "tokens"])["difference"]
        .agg(difference="mean", squares=lambda d: ((d - d.mean()) ** 2).sum(), runs="size")
        .reset_index()
    )
    freedom = int((cells["runs"] - 1).sum())
    if freedom < 1:
        raise InputError("planned: no size and budget has two seeds, the spread within cells is unknown")
    spread = math.sqrt(cells.pop("squares").sum() / freedom)
    mean = cells["difference"].mean()
    error = spread * math.sqrt(np.sum(1 / cells["runs"])) / len(cells)
    half = stats.t.ppf((1 + level) / 2, freedom) * error
    return PlannedComparison(pairs, cells, Estimate(mean, mean - half, mean + half, level), spread, freedom)
