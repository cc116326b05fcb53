"""The ladder's losses: trunks with the branches that leave them, what a decay gains, and residuals of the law."""

import math

import numpy as np
import pandas as pd

from densing.lab.reference.recipe import BATCH_TOKENS, DECAY_SHARE
from densing.lab.yardstick.curves import fit_curve, loss_at
from densing.lab.yardstick.extrapolation import held_out_cells
from densing.lab.yardstick.rows import METRIC, read_reference

_RUN = ["size", "n_parameters", "seed"]
_REACH = 1.5  # a trunk's line is drawn on beyond its last snapshot by so large a factor of tokens at most


def ladder_curves(runs: pd.DataFrame, trajectory: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """One seed's trunks and the decays that leave them, as points to draw.

    Parameters
    ----------
    runs : decayed branches. trajectory : snapshots of the trunks. seed : of the runs.

    Returns
    -------
    size, n_parameters, kind ("trunk" or "decay"), budget (of a decay; nan), tokens, loss. A decay is two points: the
    trunk where the branch leaves it, between two snapshots or shortly beyond the last (power laws), and the branch.
    """
    columns = ["size", "n_parameters", "tokens", METRIC]
    branches, trunk = (
        frame.loc[frame["seed"] == seed, columns].rename(columns={METRIC: "loss"})
        for frame in (runs, trajectory)
    )
    trunk = trunk.assign(kind="trunk", budget=math.nan)
    points = [trunk.sort_values(["n_parameters", "tokens"])]
    for row in branches.itertuples():
        own = trunk[trunk["size"] == row.size].sort_values("tokens")
        start = (1 - DECAY_SHARE) * row.tokens
        if len(own) < 2 or not own["tokens"].iloc[0] <= start <= _REACH * own["tokens"].iloc[-1]:
            continue
        left = _power_between(own["tokens"].to_numpy(float), own["loss"].to_numpy(float), start)
        both = {"tokens": [start, row.tokens], "loss": [left, row.loss]}
        shared = {"size": row.size, "n_parameters": row.n_parameters, "kind": "decay", "budget": row.tokens}
        points.append(pd.DataFrame(both).assign(**shared))
        if start > own["tokens"].iloc[-1]:
            points.append(own.tail(1).assign(tokens=start, loss=left))
    return pd.concat(points, ignore_index=True)[["size", "n_parameters", "kind", "budget", "tokens", "loss"]]


def _power_between(tokens: np.ndarray, loss: np.ndarray, at: float) -> float:
    """Loss at `at` tokens, on the power laws through neighbours; the last one goes on."""
    x, y = np.log(tokens), np.log(loss)
    right = min(int(np.searchsorted(x, math.log(at))), len(x) - 1)
    left = max(right - 1, 0)
    slope = (y[right] - y[left]) / (x[right] - x[left]) if right > left else 0.0
    return math.exp(y[left] + slope * (math.log(at) - x[left]))


def decay_gains(runs: pd.DataFrame, trajectory: pd.DataFrame) -> pd.DataFrame:
    """How far a branch lies below the undecayed trunk that has seen as many tokens.

    A trunk ends where its last branch leaves it, so its largest budget has no row.

    Parameters
    ----------
    runs, trajectory : as for `ladder_curves`.

    Returns
    -------
    One row a size and budget: size, n_parameters, tokens, gain (mean over seeds of 1 - branch / trunk), spread (their
    standard deviation), seeds.
    """
    trunks = trajectory[[*_RUN, "tokens", METRIC]].rename(columns={METRIC: "trunk", "tokens": "seen"})
    pairs = runs[[*_RUN, "tokens", METRIC]].merge(trunks, on=_RUN)
    # a budget is rounded to whole batches, and the snapshot is the first step that reaches it
    pairs = pairs[(pairs["seen"] - pairs["tokens"]).abs() < BATCH_TOKENS]
    gain = 1 - pairs[METRIC] / pairs["trunk"]
    return (
        pairs.assign(gain=gain)
        .groupby(["n_parameters", "size", "tokens"])["gain"]
        .agg(gain="mean", spread="std", seeds="size")
        .reset_index()
    )


def law_residuals(reference: pd.DataFrame, metric: str = METRIC) -> pd.DataFrame:
    """Every cell over the law that was fitted without the largest size and the largest budget.

    Parameters
    ----------
    reference : the family, as in `held_out_cells`. metric : column of the loss.

    Returns
    -------
    One row a cell: size, n_parameters, tokens, observed (mean over seeds), law, residual (observed / law - 1),
    held_out, and left_out (an early budget that the fit does not use).
    """
    cells = held_out_cells(reference, metric)
    rows = read_reference(reference, metric)
    largest, longest = rows.n_parameters.max(), rows.tokens.max()
    inside = (rows.n_parameters < largest) & (rows.tokens < longest) & np.isin(rows.tokens, cells["tokens"])
    curve = fit_curve(rows.take(inside), one_budget=False)
    frame = pd.DataFrame(
        {
            "size": rows.size,
            "n_parameters": rows.n_parameters,
            "tokens": rows.tokens,
            "observed": np.exp(rows.log_loss),
        }
    )
    table = frame.groupby(["n_parameters", "size", "tokens"], as_index=False)["observed"].mean()
    table["law"] = loss_at(curve.theta, table["n_parameters"].to_numpy(), table["tokens"].to_numpy())
    table["residual"] = table["observed"] / table["law"] - 1
    table["held_out"] = (table["n_parameters"] == largest) | (table["tokens"] == longest)
    table["left_out"] = ~table["tokens"].isin(cells["tokens"])
    return table
