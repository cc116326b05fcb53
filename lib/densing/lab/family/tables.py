"""Tables of the laboratory: its text, sizes, skills, floor and decades."""

import math
from collections.abc import Mapping

import pandas as pd

from densing.data.corpora import corpus_manifest
from densing.data.out_of_domain import out_of_domain_manifest
from densing.data.skills.mixture import CAUSES, SHARES, SKILLS, evaluation_problems
from densing.errors import InputError
from densing.evaluation.capability.questions import CHOICE_FAMILIES
from densing.lab.family.grades import WANTED, floor_rule, grade_scores
from densing.lab.reference.recipe import SIZES, SKILLS_SHARE, peak_rate
from densing.lab.reference.tuning import TRIAL_SIZES

_SPLITS = {
    "train": "training",
    "val_a": "development: rates, stopping",
    "val_b": "the reported loss",
    "val_c": "out of domain",
}


def corpus_table() -> pd.DataFrame:
    """The splits of the text: packages, documents, megabytes, share of code."""
    tables = [corpus_manifest(), out_of_domain_manifest()]
    both = pd.concat(tables, ignore_index=True).groupby("split")
    sums = both[["documents", "bytes", "code_bytes"]].sum()
    return pd.DataFrame(
        {
            "split": list(_SPLITS),
            "used for": list(_SPLITS.values()),
            "packages": [both.size()[split] for split in _SPLITS],
            "documents": [f"{sums['documents'][split]:,.0f}" for split in _SPLITS],
            "MB": [f"{sums['bytes'][split] / 1e6:.2f}" for split in _SPLITS],
            "code": [f"{100 * sums['code_bytes'][split] / sums['bytes'][split]:.0f} %" for split in _SPLITS],
        }
    )


def sizes_table() -> pd.DataFrame:
    """The seven decoders: shape, parameters without and with embeddings, and frozen peak rate."""
    rows = [
        (
            size,
            shape.width,
            shape.layers,
            shape.heads,
            shape.ff_width,
            f"{shape.n_parameters:,}",
            f"{shape.n_parameters + shape.n_embedding:,}",
            f"{peak_rate(shape.n_parameters):.3g}",
        )
        for size, shape in SIZES.items()
    ]
    columns = ["size", "width", "layers", "heads", "ff", "N", "with embeddings", "peak rate"]
    return pd.DataFrame(rows, columns=columns)


def skills_table(longest: int = 46) -> pd.DataFrame:
    """The families of generated skills: share of the training tokens, grades, and an instance of the second grade.

    Parameters
    ----------
    longest : characters of an instance that are shown.
    """
    rest = SKILLS_SHARE - sum(CAUSES.values())
    rows = []
    for name, share in SHARES.items():
        skill = SKILLS[name]
        problem = evaluation_problems(name, skill.grades[min(1, len(skill.grades) - 1)], 1)[0]
        text = f"{problem.prompt} → {problem.answer}".replace("\n", " ")
        shown = text if len(text) <= longest else text[: longest - 1] + "…"
        grades = f"{skill.grades[0]} to {skill.grades[-1]}" if len(skill.grades) > 1 else "1"
        rows.append((name, f"{100 * rest * share:.1f} %", grades, shown))
    return pd.DataFrame(rows, columns=["family", "of all tokens", "grades", "an instance"])


def trial_floor(trial: pd.DataFrame, trial_items: pd.DataFrame) -> dict[tuple[float, float], pd.DataFrame]:
    """The floor rule under every mixture of the trial, in the order of the trial.

    Parameters
    ----------
    trial : branches of the trial with <family>_score and <family>_blind. trial_items : their items. Both with
        skills_share and lowest_weight, of the trial's two sizes, one model each. Grades are scored from the items; a
        choice family of one grade from its columns, which hold more items than are kept.

    Returns
    -------
    (share of skills, weight of the lowest grades) to the table of `floor_rule`.

    Raises
    ------
    InputError : a mixture without one of the two sizes.
    """
    found = {}
    for mixture, own in trial_items.groupby(["skills_share", "lowest_weight"]):
        scores = grade_scores(own)
        for size in TRIAL_SIZES:
            if size not in set(scores["size"]):
                raise InputError(f"trial_items: mixture {mixture} lacks {size}")
        runs = trial[(trial["skills_share"] == mixture[0]) & (trial["lowest_weight"] == mixture[1])]
        scores = _whole_families(scores, runs)
        found[mixture] = floor_rule(*(scores[scores["size"] == size] for size in TRIAL_SIZES))
    return dict(sorted(found.items()))


def _whole_families(scores: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The scores with those of choice families of one grade taken from the runs' columns."""
    scores, runs = scores.copy(), runs.set_index("size")
    grades = scores.groupby("family")["grade"].transform("nunique")
    for at in scores.index[(scores["kind"] == "choice") & (grades == 1)]:
        family, size = scores.loc[at, ["family", "size"]]
        scores.loc[at, ["score", "blind"]] = runs.loc[size, [f"{family}_score", f"{family}_blind"]].to_numpy(
            float
        )
    return scores


def floor_table(rule: pd.DataFrame) -> pd.DataFrame:
    """A table of `floor_rule`, numbers formatted."""
    number = lambda value: f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"  # noqa: E731
    return pd.DataFrame(
        {
            "family": rule["family"],
            "kind": rule["kind"],
            "grade": rule["grade"],
            f"{TRIAL_SIZES[0]} (blind)": [
                f"{number(a)} ({number(b)})" for a, b in zip(rule["small"], rule["small_blind"], strict=True)
            ],
            f"{TRIAL_SIZES[1]} (blind)": [
                f"{number(a)} ({number(b)})" for a, b in zip(rule["large"], rule["large_blind"], strict=True)
            ],
            "leaves the floor": rule["leaves"].map({True: "yes", False: "no"}),
        }
    )


def mixture_table(rules: Mapping[tuple[float, float], pd.DataFrame]) -> pd.DataFrame:
    """How many families leave the floor under each mixture of the trial, and how many were wanted."""
    rows = []
    for (share, weight), rule in rules.items():
        left = rule[rule["leaves"]]
        row = {"share of skills": f"{share:g}", "weight of lowest grades": f"{weight:g}"}
        for kind, wanted in WANTED.items():
            row[f"{kind}, of {wanted} wanted"] = int((left["kind"] == kind).sum())
        rows.append(row | {"leave the floor": ", ".join(left["family"])})
    return pd.DataFrame(rows)


def generation_first(rule: pd.DataFrame) -> tuple[list[str], list[str], set[str]]:
    """Families of generation and of choice in a table's order, and the set of those at the floor."""
    generation = rule.loc[rule["kind"] == "generation", "family"].tolist()
    choice = [family for family in CHOICE_FAMILIES if family in set(rule["family"])]
    return generation, choice, set(rule.loc[~rule["leaves"], "family"])


def decades_table(decades: pd.DataFrame) -> pd.DataFrame:
    """A table of `filled_decades`, decades written as powers."""
    power = lambda value: f"1e{round(math.log10(value))}" if value < 1 else "1"  # noqa: E731
    return pd.DataFrame(
        {
            "pass rate": [f"{power(r.low)} to {power(r.high)}" for r in decades.itertuples()],
            "cells": decades["cells"],
            "families": decades["families"],
        }
    )


def gains_table(gains: pd.DataFrame) -> pd.DataFrame:
    """A table of `decay_gains`: per cent by size and budget."""
    wide = gains.pivot(index=["n_parameters", "size"], columns="tokens", values="gain")
    wide = wide.map(lambda gain: "" if math.isnan(gain) else f"{100 * gain:.2f}")
    wide.columns = [f"{tokens / 1e6:g}M" for tokens in wide.columns]
    return wide.reset_index("n_parameters", drop=True).reset_index()
