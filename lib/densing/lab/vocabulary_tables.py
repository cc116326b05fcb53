"""Tables of the vocabulary chapter: the published estimators side by side, and the optima of our own ladder."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from densing.fitters.vertex import QuadraticOptimum, optimum_slope
from densing.fitters.vocabulary_size.derivative import DerivativeVocabulary
from densing.fitters.vocabulary_size.isoflop import IsoFlopVocabulary
from densing.fitters.vocabulary_size.parametric import ParametricVocabulary
from densing.fitters.vocabulary_size.results import VocabularyResults, huber_sum
from densing.lab.vocabulary_ladder import as_checkpoints, ladder_optima, ladder_rows
from densing.laws.vocabulary_size import RELEASED, optimal_vocabulary

CONVENTIONS = {"released units": "published", "true tokens": "true_tokens"}


def published_fits(
    runs: pd.DataFrame, *, min_flops: float = 2.18e17, draws: int = 200, starts: int = 16, seed: int = 0
) -> dict[str, VocabularyResults]:
    """All estimators on the published runs: approach 1 on all and on large budgets, 2, and four variants of
    3.

    Parameters
    ----------
    runs : the published checkpoints.
    min_flops : rows below are left out of approach 3, and budgets below of the second fit of approach 1.
    draws : bootstrap resamples by run; five times as many for approach 1, none where the exponents are free.
    starts, seed : of the parametric fitter; of all resampling.
    """
    fits: dict[str, VocabularyResults] = {
        "IsoFLOPs": IsoFlopVocabulary(draws=5 * draws, seed=seed).fit(runs),
        "IsoFLOPs, large budgets": IsoFlopVocabulary(min_flops=min_flops, draws=5 * draws, seed=seed).fit(
            runs
        ),
        "derivative": DerivativeVocabulary(draws=draws, seed=seed).fit(runs),
    }
    for label, convention in CONVENTIONS.items():
        options = {"convention": convention, "min_flops": min_flops, "starts": starts, "seed": seed}
        fits[label] = ParametricVocabulary(**options, draws=draws).fit(runs)
        fits[f"{label}, exponents free"] = ParametricVocabulary(**options, tied=False, draws=0).fit(runs)
    return fits


def fits_table(fits: Mapping[str, VocabularyResults], at: float = 70e9) -> pd.DataFrame:
    """Exponent and optimum at one size of every fit, with 95 % intervals where there are resamples."""
    rows = []
    for name, fit in fits.items():
        found = fit.optimal_vocabulary(at).transform(lambda v: v / 1e3)
        gamma = f"{fit.estimate('gamma'):.3f}" if fit.approach < 3 else ""
        interval = f"{found.lower:,.0f} to {found.upper:,.0f}" if fit.draws else ""
        rows.append((name, gamma, f"{found.value:,.0f}", interval))
    where = f"V at {at / 1e9:g}B, thousands"
    return pd.DataFrame(rows, columns=["estimator", "exponent of N_v in N_nv", where, "95 % interval"])


def units_table(
    runs: pd.DataFrame, fits: Mapping[str, VocabularyResults], min_flops: float = 2.18e17
) -> pd.DataFrame:
    """Objective and r.m.s. residual of the released constants and of the refits, under both counts of tokens."""
    rows = []
    for label, convention in CONVENTIONS.items():
        residuals = ParametricVocabulary(convention=convention, min_flops=min_flops, draws=0).residuals(
            runs, RELEASED[3]
        )
        rms = float(np.sqrt(np.mean(residuals**2)))
        rows.append((label, "released", huber_sum(residuals), rms, RELEASED[3].alpha2))
        for kind in ("", ", exponents free"):
            fit = fits[label + kind]
            rows.append((label, "refit" + kind, fit.fun, fit.rms, fit.coefficients.alpha2))
    return pd.DataFrame(rows, columns=["tokens counted as", "constants", "objective", "rms", "alpha2"])


def optima_table(rows: pd.DataFrame, by_loss: Mapping[str, Mapping[str, QuadraticOptimum]]) -> pd.DataFrame:
    """Optimum of every rung by several losses, and by one parametric law fitted to all rows of the sweep.

    Parameters
    ----------
    rows : of the sweep.
    by_loss : name of a loss to the optima of its rungs.
    """
    own = ParametricVocabulary(min_flops=0, starts=16, draws=0).fit(as_checkpoints(rows)).coefficients
    rungs = ladder_rows(rows).drop_duplicates("size").set_index("size")
    table = pd.DataFrame({"size": rungs.index})
    for name, optima in by_loss.items():
        table[name] = [_interval(optima[size]) for size in rungs.index]
    sizes = rungs[["n_nv", "budget", "width"]].astype(float).itertuples(index=False)
    law = [optimal_vocabulary(n, c, coefficients=own, width=d) for n, c, d in sizes]
    return table.assign(**{"V of the joint parametric law": [f"{value:,.0f}" for value in law]})


def slope_table(rows: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Vertices and the slope of ln V_opt on ln C when the quadratic goes through fewer vocabularies."""
    ladder = ladder_rows(rows)
    entries = ladder["vocab_size"]
    low, (*_, second, high) = entries.min(), sorted(entries.unique())
    choices = {
        "all": entries > 0,
        f"without {high}": entries < high,
        f"without {second}, {high}": entries < second,
        f"without {low}": entries > low,
    }
    table = []
    for name, kept in choices.items():
        optima = ladder_optima(ladder[kept], seed=seed)
        budgets = ladder.drop_duplicates("size").set_index("size")["budget"].loc[list(optima)]
        vertices = ", ".join(f"{optimum.optimum.value:,.0f}" for optimum in optima.values())
        table.append((name, vertices, f"{optimum_slope(list(optima.values()), budgets):.2f}"))
    return pd.DataFrame(table, columns=["vocabularies", "vertices", "slope of ln V_opt on ln C"])


def top_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Both losses of every vocabulary at the largest budget, mean and standard deviation over seeds."""
    highest = rows[(rows["budget"] == rows["budget"].max()) & (rows["context"] == "characters")].groupby(
        "vocab_size"
    )
    table = (
        highest[["unigram_normalized_loss", "bits_per_character"]].agg(["mean", "std"]).map("{:.3f}".format)
    )
    table.columns = ["L_u", "s.d.", "bits per character", "s.d. of bits"]
    return table.rename_axis("V").reset_index()


def control_table(rows: pd.DataFrame, control: pd.DataFrame) -> pd.DataFrame:
    """Runs with a context constant in characters beside those with one constant in tokens, equal seed and budget."""
    keys = ["size", "budget", "vocab_size", "seed"]
    paired = rows[rows["context"] == "characters"].merge(control, on=keys, suffixes=("", "_tokens"))
    columns = {
        "vocab_size": "V",
        "length": "tokens in 512 characters",
        "unigram_normalized_loss": "L_u",
        "unigram_normalized_loss_tokens": "L_u, 256 tokens",
        "bits_per_character": "bits",
        "bits_per_character_tokens": "bits, 256 tokens",
    }
    return paired[list(columns)].rename(columns=columns).round(3)


def _interval(optimum: QuadraticOptimum) -> str:
    if not optimum.bracketed:
        return "not inside the grid"
    return f"{optimum.optimum.value:,.0f} ({optimum.optimum.lower:,.0f} to {optimum.optimum.upper:,.0f})"
