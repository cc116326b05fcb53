"""Whether held-out members of the family have density 1, and the smallest density ratio that can be told from 1."""

import numpy as np
import pandas as pd

from densing.checks import check_range
from densing.lab.yardstick.curves import slope_at
from densing.lab.yardstick.density import capacity_density
from densing.lab.yardstick.fitted import FittedReference, fit_reference
from densing.lab.yardstick.noise import Noise
from densing.lab.yardstick.results import Density
from densing.lab.yardstick.rows import METRIC, REFERENCE_TOKENS, ReferenceRows, read_reference


def leave_one_size_out(
    reference: pd.DataFrame | None = None,
    metric: str = METRIC,
    *,
    reference_tokens: float = REFERENCE_TOKENS,
    noise: Noise | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Density of each size (mean over its seeds) against the curve of the other sizes, at the nominal budget.

    The held-out size followed the reference's data orders, so order effects are shared; its own lack of fit, unknown to
    the curve, is drawn.

    Returns
    -------
    One row a size: held_out, the columns of `Density.as_row` (without the controls), covers (1 in the interval) and end
    (smallest and largest size, which are extrapolated).
    """
    rows = read_reference(reference, metric)
    found = []
    for label in rows.sizes.index:
        rest = fit_reference(
            rows.take(rows.size != label),
            reference_tokens=reference_tokens,
            noise=noise,
            draws=draws,
            seed=seed,
        )
        out = rows.take((rows.size == label) & (rows.tokens == reference_tokens))
        found.append(_held_out(str(label), out, rest, "new", level))
    table = pd.DataFrame(found)
    table["end"] = [at in (0, len(table) - 1) for at in range(len(table))]
    return table


def leave_one_run_out(
    reference: pd.DataFrame | None = None,
    metric: str = METRIC,
    *,
    reference_tokens: float = REFERENCE_TOKENS,
    noise: Noise | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Density of each single run against the curve of all others, at the nominal budget.

    All branches of the run are left out. It shares its data order with the other sizes and its lack of fit with the
    other seeds of its size.

    Returns
    -------
    One row a run, as in `leave_one_size_out` but for `end`; held_out names size and seed.
    """
    rows = read_reference(reference, metric)
    at = rows.at(reference_tokens)
    found = []
    for label, order in zip(at.size.tolist(), at.seed.tolist(), strict=True):
        run = (rows.size == label) & (rows.seed == order)
        rest = fit_reference(
            rows.take(~run), reference_tokens=reference_tokens, noise=noise, draws=draws, seed=seed
        )
        shape = label if label in rest.curve.rows.sizes.index else "new"
        out = rows.take(run & (rows.tokens == reference_tokens))
        found.append(_held_out(f"{label}, seed {order}", out, rest, shape, level))
    return pd.DataFrame(found)


def _held_out(name: str, out: ReferenceRows, rest: FittedReference, shape, level: float) -> dict:
    known = set(rest.curve.rows.seeds)
    orders = out.seed.tolist()
    density = capacity_density(
        np.exp(out.log_loss).tolist(),
        float(out.n_parameters[0]),
        reference=rest,
        orders=orders if set(orders) <= known else None,
        shape=shape,
        controls=False,
        level=level,
    )
    return {"held_out": name} | density.as_row() | {"covers": density.lower <= 1 <= density.upper}


def resolution(
    reference: pd.DataFrame | FittedReference | None = None,
    metric: str = METRIC,
    *,
    n_seeds: int = 3,
    reference_tokens: float = REFERENCE_TOKENS,
    noise: Noise | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Half width of the interval of ln rho at each size, for a variant of `n_seeds` seeds that lies on the curve.

    exp(half width) is the smallest density ratio that the yardstick can tell from 1 there.

    Returns
    -------
    One row a size: size, n_parameters, unpaired (data orders of its own), paired (the reference's orders; nan where it
    has fewer seeds than the variant), slope (fall of the loss per e-fold of size).
    """
    check_range("n_seeds", n_seeds, 1, integer=True)
    if not isinstance(reference, FittedReference):
        reference = fit_reference(
            reference, metric, reference_tokens=reference_tokens, noise=noise, draws=draws, seed=seed
        )
    orders = reference.curve.rows.seeds[:n_seeds]
    found = []
    for label, count in reference.curve.rows.sizes.items():
        values = [float(reference.loss(count))] * n_seeds
        half = {}
        for name, used in (("unpaired", None), ("paired", orders)):
            if used is None or len(used) == n_seeds:
                half[name] = _on_curve(values, count, reference, used, level).half_width
        found.append(
            {
                "size": label,
                "n_parameters": count,
                "unpaired": half["unpaired"],
                "paired": half.get("paired", float("nan")),
                "slope": float(slope_at(reference.curve.theta, count)),
            }
        )
    return pd.DataFrame(found)


def _on_curve(values, count, reference, orders, level) -> Density:
    return capacity_density(values, count, reference=reference, orders=orders, controls=False, level=level)
