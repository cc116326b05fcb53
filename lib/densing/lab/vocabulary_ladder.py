"""Reading the vocabulary sweep: optima along the ladder, their prediction, the comparison at the top."""

from typing import TYPE_CHECKING

import numpy as np

from densing.checks import check_columns, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.fitters.vertex import QuadraticOptimum, quadratic_optimum
from densing.lab.vocabulary import LADDER, VOCABULARY_SIZES

if TYPE_CHECKING:
    import pandas as pd


def ladder_rows(rows: "pd.DataFrame") -> "pd.DataFrame":
    """The ladder's rows: each size at its largest budget, grid vocabularies, context constant in characters."""
    check_columns("rows", rows.columns, ["size", "budget", "vocab_size", "context", "seed"])
    own = rows.groupby("size")["budget"].transform("max")
    kept = rows[
        (rows["budget"] == own)
        & (rows["context"] == "characters")
        & rows["vocab_size"].isin(VOCABULARY_SIZES)
    ]
    return kept.sort_values(["budget", "vocab_size", "seed"]).reset_index(drop=True)


def ladder_optima(
    rows: "pd.DataFrame", metric: str = "unigram_normalized_loss", *, draws: int = 2000, seed: int = 0
) -> dict[str, QuadraticOptimum]:
    """Quadratic of `metric` in ln V at every rung, smallest budget first."""
    ladder = ladder_rows(rows)
    check_columns("rows", ladder.columns, [metric])
    names = [size for size in LADDER if (ladder["size"] == size).any()]
    return {
        size: quadratic_optimum(rung["vocab_size"], rung[metric], draws=draws, seed=seed + i)
        for i, size in enumerate(names)
        for rung in [ladder[ladder["size"] == size]]
    }


def predicted_vocabulary(rows: "pd.DataFrame", *, multiple: int = 32) -> int:
    """The top rung's vocabulary from the rungs below it: the line of ln V_opt on ln C, rounded to a multiple
    of `multiple`.

    Raises
    ------
    InputError : a rung below the top whose quadratic is not convex.
    """
    check_range("multiple", multiple, 1, integer=True)
    *below, top = LADDER
    optima = ladder_optima(rows, draws=1)
    budgets = np.log([LADDER[size].budget for size in below])
    values = np.log([optima[size].optimum.value for size in below])
    if not np.isfinite(values).all():
        raise InputError(
            "rows: a rung below the top has no convex quadratic, nothing can be predicted from it"
        )
    slope, intercept = np.polyfit(budgets, values, 1)
    return multiple * round(float(np.exp(intercept + slope * np.log(LADDER[top].budget))) / multiple)


def customary_vocabulary(rows: "pd.DataFrame") -> int:
    """The grid vocabulary with the fewest bits per character, on average over the rungs below the top."""
    ladder = ladder_rows(rows)
    below = ladder[ladder["size"] != list(LADDER)[-1]]
    return int(below.groupby("vocab_size")["bits_per_character"].mean().idxmin())


def as_checkpoints(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Rows of the sweep (all budgets and seeds) under the names that the estimators of `densing.fitters` take."""
    kept = rows[rows["context"] == "characters"]
    return kept.rename(
        columns={
            "width": "d_model",
            "n_nv": "params_non_vocab",
            "characters": "train_characters",
            "unigram_normalized_loss": "unigram_normalised_loss_nats",
        }
    ).assign(params_vocab=kept["vocab_size"] * kept["width"])


def compare_vocabularies(
    rows: "pd.DataFrame",
    items: "pd.DataFrame",
    first: int,
    second: int,
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """Bits per character at the top rung, vocabulary `first` minus `second`, paired by seed and document.

    The bootstrap draws seeds and documents; the seeds' deviations are widened by sqrt(n/(n - 1)), as there
    are only three.

    Parameters
    ----------
    rows, items : of the sweep; items hold nats and characters of every document.
    first, second : vocabulary sizes that were run at the top rung.
    """
    top = list(LADDER)[-1]
    own = rows[(rows["size"] == top) & (rows["context"] == "characters")]
    own = own[own["budget"] == own["budget"].max()]
    tables, characters = [], None
    for v in (first, second):
        runs = own[own["vocab_size"] == v].sort_values("seed")
        if runs.empty:
            raise InputError(
                f"first, second: vocabulary {v} was not run at {top}; run are {sorted(set(own['vocab_size']))}"
            )
        found = items.merge(runs[["digest", "row", "seed"]], on=["digest", "row"])
        tables.append(found.pivot(index="seed", columns="document", values="nats"))
        characters = found.drop_duplicates("document").sort_values("document")["characters"].to_numpy()
    difference = (tables[0] - tables[1]).to_numpy() / np.log(2)
    if np.isnan(difference).any():
        raise InputError("rows: the two vocabularies were not run with the same seeds")
    n_seeds, n_documents = difference.shape
    value = difference.mean(axis=0).sum() / characters.sum()
    rng = np.random.default_rng(seed)
    widen = np.sqrt(n_seeds / (n_seeds - 1)) if n_seeds > 1 else 0.0
    mean = difference.mean(axis=0)
    shares = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), size=draws) / n_seeds
    drawn = mean + widen * (shares @ (difference - mean))
    documents = rng.multinomial(n_documents, np.full(n_documents, 1 / n_documents), size=draws)
    return Estimate.from_draws(value, (drawn * documents).sum(axis=1) / (documents @ characters), level)
