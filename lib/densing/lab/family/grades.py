"""Scores of the battery grade by grade: which families leave the floor, and which decades their rates fill."""

import math
from collections.abc import Collection

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_columns, check_range
from densing.errors import InputError
from densing.evaluation.capability.battery_summary import POOLED, summarize
from densing.evaluation.capability.choice import likeliest_is_correct

LEAST_RATIO, LEAST_POINTS, LEAST_GROWTH = 3.0, 0.05, 2.0
WANTED = {"generation": 6, "choice": 3}
DECADES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
_MODEL = ["size", "n_parameters", "seed", "tokens"]
#: What tells models apart, in tables of the family and of the trial of its mixture.
MODEL_KEYS = [*_MODEL, "skills_share", "lowest_weight"]
_GRADE = ["family", "grade", "kind"]


def grade_scores(items: pd.DataFrame) -> pd.DataFrame:
    """Mean score and blind score of every model, family and grade.

    Parameters
    ----------
    items : item rows of several models: size, n_parameters, seed, tokens, family, grade, kind; for generation log_p
        and blind_log_p; for choices correct, log_p_k and log_p_neutral_k; nats.

    Returns
    -------
    size, n_parameters, seed, tokens (skills_share, lowest_weight where the items have them), family, grade, kind, n,
    score (pass rate, or accuracy) and blind (of another item's question, or of a neutral text). Written solutions,
    which have no pass rate, are left out.
    """
    check_columns("items", items.columns, [*_MODEL, *_GRADE])
    keys = [*(name for name in MODEL_KEYS if name in items), *_GRADE]
    parts = []
    generated = items[items["kind"] == "generation"]
    if len(generated):
        scores = {"score": np.exp(generated["log_p"]), "blind": np.exp(generated["blind_log_p"])}
        parts.append(generated[keys].assign(**scores))
    chosen = items[items["kind"] == "choice"]
    if len(chosen):
        scores = {
            name: likeliest_is_correct(_columns(chosen, prefix), chosen["correct"].to_numpy())
            for name, prefix in (("score", "log_p_"), ("blind", "log_p_neutral_"))
        }
        parts.append(chosen[keys].assign(**scores))
    if not parts:
        raise InputError("items: hold no item of generation and none of choice")
    return (
        pd.concat(parts)
        .groupby(keys, sort=False)
        .agg(n=("score", "size"), score=("score", "mean"), blind=("blind", "mean"))
        .reset_index()
    )


def floor_rule(small: pd.DataFrame, large: pd.DataFrame) -> pd.DataFrame:
    """Which families leave the floor, judged from a smaller and a larger member of the ladder.

    A family leaves the floor if at some grade the larger model's pass rate is at least three times what a blind answer
    earns (accuracy: at least five points above), and its excess over the blind score at least twice the smaller's.

    Parameters
    ----------
    small, large : family, grade, kind, score, blind of one model each, as `grade_scores` and `summarize` give them.
        Rows over all grades and written solutions are left out.

    Returns
    -------
    One row a family, generation first: family, kind, grade (of those that pass the one of largest excess; if none
    does, the largest excess), small, small_blind, large, large_blind, above (clear of its blind score at that grade),
    leaves.

    Raises
    ------
    InputError : a missing column, a family and grade that stands twice (two models?), or no common grade.
    """
    keys = ["family", "grade", "kind"]
    kept = {}
    for name, frame in (("small", small), ("large", large)):
        check_columns(name, frame.columns, [*keys, "score", "blind"])
        frame = frame[(frame["grade"] != POOLED) & frame["kind"].isin(WANTED)]
        if frame.duplicated(keys).any():
            raise InputError(f"{name}: a family and grade stands twice, must be the scores of one model")
        kept[name] = frame[[*keys, "score", "blind"]].rename(
            columns={"score": name, "blind": f"{name}_blind"}
        )
    table = kept["small"].merge(kept["large"], on=keys)
    if table.empty:
        raise InputError("small, large: have no family and grade in common")
    excess = table["large"] - table["large_blind"]
    clear_rate = (table["large"] >= LEAST_RATIO * table["large_blind"]) & (excess > 0)
    table["above"] = clear_rate.where(table["kind"] == "generation", excess >= LEAST_POINTS)
    table["leaves"] = table["above"] & (excess >= LEAST_GROWTH * (table["small"] - table["small_blind"]))
    order = table.assign(excess=excess).sort_values(["leaves", "excess"], ascending=False)
    best = order.groupby("family", sort=False).head(1).drop(columns="excess")
    return best.sort_values(["kind", "leaves", "family"], ascending=[False, False, True], ignore_index=True)


def resolved_rates(
    items: pd.DataFrame, tokens: float, *, draws: int = 200, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Pass rates of every size and grade at one budget, means over seeds, with whether the blind rate is excluded.

    Parameters
    ----------
    items : as for `grade_scores`, with answer_tokens. tokens : the budget.
    draws, level, seed : of the bootstrap over items, paired with their blind rates.

    Returns
    -------
    size, n_parameters, family, grade, n, rate, blind, log_ratio_lower, resolved (its interval of ln(rate / blind) lies
    above 0).
    """
    check_columns("items", items.columns, [*_MODEL, *_GRADE, "item", "answer_tokens", "log_p", "blind_log_p"])
    check_range("draws", draws, 1, integer=True)
    own = items[(items["kind"] == "generation") & (items["tokens"] == tokens)]
    if own.empty:
        raise InputError(f"tokens = {tokens:g}: items hold {sorted(items['tokens'].unique().tolist())}")
    keys = ["size", "n_parameters", "item", *_GRADE, "answer_tokens"]
    means = np.log(
        np.exp(own.set_index(keys)[["log_p", "blind_log_p"]]).groupby(level=keys, sort=False).mean()
    )
    means = means.reset_index().rename(columns={"answer_tokens": "tokens"})
    found = []
    for (size, count), frame in means.groupby(["size", "n_parameters"], sort=False):
        summary = summarize(frame, draws=draws, level=level, seed=seed)
        found.append(summary[summary["grade"] != POOLED].assign(size=size, n_parameters=count))
    table = pd.concat(found, ignore_index=True).rename(columns={"score": "rate"})
    columns = ["size", "n_parameters", "family", "grade", "n", "rate", "blind", "log_ratio_lower", "resolved"]
    return table[columns].sort_values(["n_parameters", "family", "grade"], ignore_index=True)


def filled_decades(rates: pd.DataFrame, families: Collection[str]) -> pd.DataFrame:
    """How many resolved pass rates of some families fall into each decade.

    Parameters
    ----------
    rates : from `resolved_rates`. families : those that count (the ones that leave the floor).

    Returns
    -------
    One row a decade from 1e-5 to 1: low, high, cells, families (their names, joined).
    """
    kept = rates[rates["resolved"] & rates["family"].isin(list(families))]
    rows = []
    for low, high in zip(DECADES, DECADES[1:], strict=False):
        inside = kept[(kept["rate"] >= low) & (kept["rate"] < high) | (high == 1.0) & (kept["rate"] == high)]
        names = ", ".join(sorted(inside["family"].unique()))
        rows.append({"low": low, "high": high, "cells": len(inside), "families": names})
    return pd.DataFrame(rows)


def rate_growth(rates: pd.DataFrame, small: str, large: str) -> pd.DataFrame:
    """By how much pass rates differ between two sizes: the grade of each family at which they differ most.

    Only grades whose rate the larger size resolves from the blind rate count.

    Returns
    -------
    One row a family: family, grade, small, large (rates), factor (large / small); nan where no grade is resolved.
    """
    for size in (small, large):
        check_choice("size", size, sorted(rates["size"].unique()))
    by_size = rates.set_index(["family", "grade"])
    both = by_size[by_size["size"] == large][["rate", "resolved"]].join(
        by_size[by_size["size"] == small]["rate"].rename("small")
    )
    rows = []
    for family, own in both.groupby(level="family"):
        own = own[own["resolved"]]
        if own.empty:
            rows.append((family, math.nan, math.nan, math.nan, math.nan))
            continue
        factor = own["rate"] / own["small"]
        at = factor.idxmax()
        rows.append((family, at[1], own.loc[at, "small"], own.loc[at, "rate"], factor.loc[at]))
    return pd.DataFrame(rows, columns=["family", "grade", "small", "large", "factor"])


def _columns(items: pd.DataFrame, prefix: str) -> np.ndarray:
    names = [name for name in items if name.startswith(prefix) and name.removeprefix(prefix).isdigit()]
    # a choice that an item does not have is never the likeliest
    return items[sorted(names, key=lambda name: int(name.rpartition("_")[2]))].fillna(-np.inf).to_numpy(float)
