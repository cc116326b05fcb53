"""What the trials before freezing said: peak rates against size, and the tables of each choice."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from densing.checks import check_columns
from densing.errors import InputError
from densing.fitters.vertex import QuadraticOptimum, quadratic_optimum
from densing.lab.reference.recipe import BATCH_TOKENS, EMBEDDING_STD, SIZES
from densing.lab.reference.tuning import NARROW, TRIAL_MIXTURES

LOSS = "bits_per_byte_val_a"
_RECIPE = {"batch_tokens": BATCH_TOKENS, "embedding_std": EMBEDDING_STD}
_FIRST = dict(zip(("skills_share", "lowest_weight"), TRIAL_MIXTURES[0], strict=True))


@dataclass(frozen=True)
class PeakRateLaw:
    """Peak rate against size, rate = at_100k · (N / 100,000)^-exponent.

    Attributes
    ----------
    at_100k : rate at 100,000 parameters. exponent : of the fall.
    optima : quadratic of the loss in ln rate of each size, smallest first. n_parameters : of the sizes.
    """

    at_100k: float
    exponent: float
    optima: dict[str, QuadraticOptimum]
    n_parameters: dict[str, int]

    def rate(self, n_parameters: float) -> float:
        """The law's peak rate at a size."""
        return self.at_100k * (n_parameters / 1e5) ** -self.exponent


def fit_peak_rate(runs: pd.DataFrame, loss: str = LOSS) -> PeakRateLaw:
    """The best rate of each size, and a straight line of its logarithm on ln N.

    The best rate is the vertex of the quadratic in ln rate through the best rate tried and its two neighbours.

    Parameters
    ----------
    runs : one row a size and rate: size, n_parameters, rate and `loss`, everything else equal.
    loss : column to minimise.

    Raises
    ------
    InputError : fewer than two sizes, a size with two rows of one rate, or one whose best rate is at an edge of those
        tried (names size and rate).
    """
    check_columns("runs", runs.columns, ["size", "n_parameters", "rate", loss])
    if runs.duplicated(["size", "rate"]).any():
        raise InputError("runs: must hold one row a size and rate; keep the rows of one trial")
    optima, counts = {}, {}
    for (count, size), own in runs.sort_values("rate").groupby(["n_parameters", "size"]):
        best = int(own[loss].to_numpy().argmin())
        if not 0 < best < len(own) - 1:
            raise InputError(
                f"runs: the best rate of {size}, {own['rate'].iloc[best]:g}, is at an edge of those tried; "
                "add a rate beyond it"
            )
        three = own.iloc[best - 1 : best + 2]
        optima[size], counts[size] = quadratic_optimum(three["rate"], three[loss], draws=1), int(count)
    if len(optima) < 2:
        raise InputError(f"runs: {len(optima)} sizes, a law of the size needs at least 2")
    x = np.log(np.array(list(counts.values())) / 1e5)
    slope, level = np.polyfit(x, [np.log(found.optimum.value) for found in optima.values()], 1)
    return PeakRateLaw(float(np.exp(level)), float(-slope), optima, counts)


def rate_trials(runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of the sweep that the frozen rates come from: the recipe's heads, spread and batch, first mixture."""
    return _alike(runs, _RECIPE | _FIRST, own_heads=True)


def heads_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Loss by number of heads, at one rate a size and the first spread of the embedding."""
    narrow = _alike(runs, {"batch_tokens": BATCH_TOKENS, "embedding_std": NARROW} | _FIRST)
    several = narrow.groupby(["size", "rate"])["heads"].transform("nunique") > 1
    return _listed(narrow[several], "heads")


def spread_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Loss of both spreads of the initial embedding, and the wider's advantage, by size and rate."""
    alike = _alike(runs, {"batch_tokens": BATCH_TOKENS} | _FIRST, own_heads=True)
    table = alike.pivot(index=["n_parameters", "size", "rate"], columns="embedding_std", values=LOSS)
    table = table.reindex(columns=[NARROW, EMBEDDING_STD]).dropna()
    table["advantage"] = table[NARROW] - table[EMBEDDING_STD]
    table.columns = [f"spread {NARROW:g}", f"spread {EMBEDDING_STD:g}", "advantage"]
    return table.map("{:.3f}".format).reset_index().drop(columns="n_parameters")


def batches_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Best loss over the rates tried, by size and batch."""
    alike = _alike(runs, {"embedding_std": EMBEDDING_STD} | _FIRST, own_heads=True)
    best = alike.loc[alike.groupby(["size", "batch_tokens"])[LOSS].idxmin()]
    several = best.groupby("size")["batch_tokens"].transform("nunique") > 1
    return _listed(best[several], "batch_tokens")


def check_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Half, all and twice the frozen rate on the final mixture."""
    final = runs[runs["lowest_weight"] != _FIRST["lowest_weight"]]
    return _listed(final, "rate")


def _alike(runs: pd.DataFrame, values: dict[str, float], *, own_heads: bool = False) -> pd.DataFrame:
    kept = np.logical_and.reduce([runs[name] == value for name, value in values.items()])
    if own_heads:
        kept &= runs["heads"] == runs["size"].map({size: shape.heads for size, shape in SIZES.items()})
    return runs[kept]


def _listed(rows: pd.DataFrame, varied: str) -> pd.DataFrame:
    rows = rows.sort_values(["n_parameters", varied])
    columns = {"size": rows["size"], varied: rows[varied], "rate": rows["rate"]}
    columns["rate"] = columns["rate"].map("{:.3g}".format)
    columns["bits per byte"] = rows[LOSS].map("{:.3f}".format)
    return pd.DataFrame(columns).rename(columns={"batch_tokens": "batch, tokens"})
