"""Item rows of the battery as scores: means, what a blind answer earns, and whether the difference is resolved."""

import math

import numpy as np
import pandas as pd

from densing.checks import check_columns, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate, cluster_weights

POOLED = -1  # the grade of rows over all grades of a family
_CHOICE = (
    "p_choices", "p_choices_blind", "p_vocab", "accuracy_raw", "accuracy_byte", "accuracy_neutral", "brier"
)  # fmt: skip


def summarize(frame: pd.DataFrame, *, draws: int = 1_000, level: float = 0.95, seed: int = 0) -> pd.DataFrame:
    """Scores by family and grade, with a row over all grades (grade -1) for every family.

    Parameters
    ----------
    frame : items of one model, as `evaluate` returns them.
    draws : bootstrap draws over items, paired: score and blind score of one draw hold the same items.
    level : of the interval of the ratio.
    seed : of the draws.

    Returns
    -------
    one row a family and grade: family, grade, kind, n;
    score (mean pass probability; accuracy for choices) and blind (of another item's question; of a neutral text
    for choices; nan for written solutions), chance (1 / choices; 0);
    log_ratio, log_ratio_lower, log_ratio_upper (ln(score / blind)) and resolved (the interval lies above 0);
    conditional_loss (nats per token of the right answer, mean over items of each item's mean);
    for choices p_choices, p_choices_blind, p_vocab, accuracy_raw, accuracy_byte, accuracy_neutral, brier.

    Raises
    ------
    InputError : a frame without the columns of `evaluate`, with an item twice (rows of two models?), or a value
        out of range.
    """
    check_columns("frame", frame.columns, ("item", "family", "grade", "kind", "tokens"))
    if (twice := frame["item"].duplicated()).any():
        raise InputError(
            f"frame: item {frame['item'][twice].iloc[0]!r} stands twice, must be one row an item (of one model)"
        )
    check_range("draws", draws, 1, integer=True)
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    check_range("seed", seed, 0, integer=True)
    rows = []
    for family, own in frame.groupby("family", sort=False):
        for grade, some in [*own.groupby("grade"), (POOLED, own)]:
            rows.append({"family": family, "grade": grade} | _scores(some, draws, level, seed))
    return pd.DataFrame(rows)


def _scores(items: pd.DataFrame, draws: int, level: float, seed: int) -> dict:
    kind = items["kind"].iloc[0]
    row: dict[str, object] = {"kind": kind, "n": len(items)}
    tokens = items["tokens"].to_numpy(float)
    if kind == "choice":
        choices = _choices(items)
        log_p = items[[f"log_p_{k}" for k in range(choices)]].to_numpy(float)
        right = log_p[np.arange(len(items)), items["correct"].to_numpy(int)]
        score, blind = (_log(items[name].to_numpy(float)) for name in ("accuracy_raw", "accuracy_blind"))
        chance = 1 / choices
    else:
        right, chance = items["log_p"].to_numpy(float), 0.0
        score = right
        blind = items["blind_log_p"].to_numpy(float) if kind == "generation" else np.full(len(items), np.nan)
        if kind == "written":
            score = blind
    ratio = _log_ratio(score, blind, draws, level, seed)
    row |= {
        "score": math.exp(_log_mean(score)),
        "blind": math.exp(_log_mean(blind)),
        "chance": chance,
        "log_ratio": ratio.value,
        "log_ratio_lower": ratio.lower,
        "log_ratio_upper": ratio.upper,
        "resolved": bool(ratio.lower > 0),
        "conditional_loss": float(np.mean(-right / tokens)),
    }
    if kind == "choice":
        row |= {name: float(items[name].mean()) for name in _CHOICE}
    return row


def _choices(items: pd.DataFrame) -> int:
    names = [name for name in items.columns if name.startswith("log_p_") and name[6:].isdigit()]
    return int(items[names].notna().any().sum())


def _log(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(values)


def _log_mean(log_values: np.ndarray) -> float:
    return float(_log_means(log_values, np.ones((1, len(log_values))))[0])


def _log_means(log_values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B,) logarithms of weighted means of exp(log_values): rates of 1e-200 keep their ratio."""
    top = log_values.max()
    if not np.isfinite(top):
        return np.full(len(weights), top)
    return top + _log(weights @ np.exp(log_values - top) / weights.sum(axis=1))


def _log_ratio(score: np.ndarray, blind: np.ndarray, draws: int, level: float, seed: int) -> Estimate:
    """ln(mean score / mean blind score), both from the same items of each draw."""
    known = ~(np.isnan(score) | np.isnan(blind))
    if not known.any():
        return Estimate(math.nan, math.nan, math.nan, level)
    weights = np.concatenate(
        [np.ones((1, known.sum())), cluster_weights(np.arange(known.sum()), draws, seed)]
    )
    with np.errstate(invalid="ignore"):  # both rates zero in a draw: no ratio
        values = _log_means(score[known], weights) - _log_means(blind[known], weights)
    return Estimate.from_draws(values[0], values[1:], level)
