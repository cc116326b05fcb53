"""The law fitted without the largest size and the largest budget, and how well it predicts them."""

import numpy as np
import pandas as pd

from densing.checks import check_range
from densing.lab.yardstick.curves import fit_curve, loss_at
from densing.lab.yardstick.fitted import early_budgets
from densing.lab.yardstick.rows import METRIC, REFERENCE_TOKENS, read_reference

MODELS = ("law", "without_floor", "carried_forward")


def held_out_cells(
    reference: pd.DataFrame | None = None,
    metric: str = METRIC,
    *,
    reference_tokens: float = REFERENCE_TOKENS,
    least_tokens: float | None = None,
) -> pd.DataFrame:
    """Predict the cells of the largest size and of the largest budget from all others.

    Parameters
    ----------
    reference : the family, as in `read_reference`. metric : column of the loss.
    reference_tokens : the nominal budget, which decides what budgets are early.
    least_tokens : leave out smaller budgets, here and in the fit; None: those below a quarter of D0 that the law of the
        other fitted cells misses by more than 1 % on average, as in the yardstick's own law.

    Returns
    -------
    One row a held-out cell: size, n_parameters, tokens, runs, observed (mean over seeds), law, without_floor (the same
    law with E = 0), carried_forward (the nearest fitted cell), corner (largest size at the largest budget).
    """
    rows = read_reference(reference, metric)
    edges = lambda: (rows.n_parameters == rows.n_parameters.max(), rows.tokens == rows.tokens.max())  # noqa: E731
    if least_tokens is None:
        large, long = edges()
        left_out = early_budgets(rows.take(~large & ~long), reference_tokens).left_out
        rows = rows.take(~np.isin(rows.tokens, left_out))
    else:
        check_range("least_tokens", least_tokens, 0)
        rows = rows.take(rows.tokens >= least_tokens)
    large, long = edges()
    inside = rows.take(~large & ~long)
    fitted = {
        "law": fit_curve(inside, one_budget=False),
        "without_floor": fit_curve(inside, one_budget=False, constant=False),
    }
    cells = pd.DataFrame(
        {
            "size": rows.size,
            "n_parameters": rows.n_parameters,
            "tokens": rows.tokens,
            "observed": np.exp(rows.log_loss),
            "corner": large & long,
            "held_out": large | long,
        }
    )
    means = cells.groupby(["n_parameters", "tokens"])["observed"].mean()
    size, tokens = inside.n_parameters.max(), inside.tokens.max()
    table = (
        cells[cells["held_out"]]
        .groupby(["n_parameters", "tokens"], as_index=False)
        .agg(
            size=("size", "first"),
            runs=("observed", "size"),
            observed=("observed", "mean"),
            corner=("corner", "first"),
        )
    )
    for name, curve in fitted.items():
        table[name] = loss_at(
            curve.theta, table["n_parameters"].to_numpy(float), table["tokens"].to_numpy(float)
        )
    nearest = zip(table["n_parameters"].clip(upper=size), table["tokens"].clip(upper=tokens), strict=True)
    table["carried_forward"] = [means[cell] for cell in nearest]
    return table[["size", "n_parameters", "tokens", "runs", "observed", *MODELS, "corner"]]


def held_out_errors(cells: pd.DataFrame) -> pd.DataFrame:
    """Mean absolute relative error of each model on held-out cells: all, edges (without the corner), corner.

    Parameters
    ----------
    cells : from `held_out_cells`.
    """
    errors = cells[list(MODELS)].div(cells["observed"], axis=0).sub(1).abs()
    return pd.DataFrame(
        {
            "all": errors.mean(),
            "edges": errors[~cells["corner"]].mean(),
            "corner": errors[cells["corner"]].mean(),
        }
    )
