"""Synthetic families and variants of known density, with the four kinds of noise."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from densing.checks import check_range
from densing.lab.yardstick.curves import NAMES, loss_at
from densing.lab.yardstick.noise import Noise, draw_effects
from densing.lab.yardstick.rows import METRIC, REFERENCE_TOKENS, ReferenceRows

#: Sizes of the family (parameters without embeddings) and its budgets, as planned.
PLANNED_SIZES = {
    "d0.01M": 13_944,
    "d0.05M": 55_536,
    "d0.1M": 111_024,
    "d0.2M": 201_280,
    "d0.4M": 443_232,
    "d0.9M": 915_376,
    "d2M": 1_860_640,
}
PLANNED_BUDGETS = (500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000)
#: A law with the planning losses of the family at 4 million tokens, in bits per byte.
PLANNED_LAW = {"E": 0.82, "A": 5.94, "B": 65.6, "alpha": 0.155, "beta": 0.4}


def family_plan(
    sizes: Mapping[str, float] = PLANNED_SIZES,
    budgets: Sequence[float] = PLANNED_BUDGETS,
    seeds: int = 3,
    *,
    single: int = 2,
) -> pd.DataFrame:
    """Rows of a family without losses: size, n_parameters, tokens, seed.

    Parameters
    ----------
    sizes : number of parameters by label. budgets : tokens. seeds : number of seeds.
    single : so many of the largest sizes have the largest budget under the first seed only.
    """
    check_range("seeds", seeds, 1, integer=True)
    frame = pd.DataFrame(
        [
            {"size": label, "n_parameters": count, "tokens": budget, "seed": s}
            for label, count in sizes.items()
            for budget in budgets
            for s in range(seeds)
        ]
    )
    few = sorted(sizes, key=sizes.get)[len(sizes) - single :]
    dropped = frame["size"].isin(few) & (frame["tokens"] == max(budgets)) & (frame["seed"] > 0)
    return frame[~dropped].reset_index(drop=True)


def simulate_family(
    law: Mapping[str, float],
    noise: Noise,
    plan: pd.DataFrame | None = None,
    *,
    metric: str = METRIC,
    seed: int = 0,
) -> pd.DataFrame:
    """A family whose losses follow a law times the exponential of all four kinds of noise.

    Parameters
    ----------
    law : E, A, B, alpha, beta. noise : standard deviations of the log loss.
    plan : rows as `family_plan` gives them, which is the default.
    metric : name of the loss column. seed : of the noise.

    Returns
    -------
    The plan with the column of losses; ``attrs["order"]`` and ``attrs["size"]`` hold the effects that were drawn, by
    seed and by size.
    """
    frame = (family_plan() if plan is None else plan).reset_index(drop=True).copy()
    rows = ReferenceRows(
        frame["size"].to_numpy(),
        frame["seed"].to_numpy(),
        frame["n_parameters"].to_numpy(float),
        frame["tokens"].to_numpy(float),
        np.zeros(len(frame)),
        metric,
    )
    effects = draw_effects(noise, rows, np.random.default_rng(seed), 1, known=True)
    fitted = loss_at(np.array([law[name] for name in NAMES]), rows.n_parameters, rows.tokens)
    frame[metric] = fitted * np.exp(effects.total[0])
    frame.attrs["order"] = {label: float(value[0]) for label, value in effects.order.items()}
    frame.attrs["size"] = {label: float(value[0]) for label, value in effects.size.items()}
    return frame


def simulate_variant(
    law: Mapping[str, float],
    noise: Noise,
    n_parameters: float,
    rho: float,
    orders: Mapping[int, float] | int,
    *,
    tokens: float = REFERENCE_TOKENS,
    seed: int = 0,
) -> np.ndarray:
    """Losses of a variant of known density: the law at rho times its size, with noise of order, run and branch.

    Parameters
    ----------
    orders : effects of the data orders it follows, as in ``attrs["order"]`` of a simulated family, or a number of seeds
        with orders of their own.
    """
    rng = np.random.default_rng(seed)
    if isinstance(orders, Mapping):
        order = np.array(list(orders.values()))
    else:
        order = noise.order * rng.standard_normal(orders)
    run = noise.pooled_run * rng.standard_normal(len(order))
    loss = loss_at(np.array([law[name] for name in NAMES]), n_parameters * rho, tokens)
    return loss * np.exp(order + run)
