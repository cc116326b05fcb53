"""A made-up family whose law, noise, decays and skills are known, with every table that is recorded of a real one."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from densing.checks import check_choices, check_range
from densing.data.skills.mixture import SKILLS
from densing.evaluation.capability.battery import GENERATION_FAMILIES, WRITTEN_FAMILIES
from densing.evaluation.capability.questions import CHOICE_FAMILIES
from densing.lab.family.grades import MODEL_KEYS, grade_scores
from densing.lab.family.study import ReferenceStudy
from densing.lab.reference.planned import PLANNED_BUDGETS
from densing.lab.reference.planned import PLANNED_SIZES as COMPARED_SIZES
from densing.lab.reference.recipe import BATCH_TOKENS, BUDGETS, DECAY_SHARE, REFERENCE_TOKENS, peak_rate
from densing.lab.reference.tuning import TRIAL_MIXTURES, TRIAL_SIZES
from densing.lab.yardstick.noise import Noise
from densing.lab.yardstick.rows import METRIC
from densing.lab.yardstick.simulation import PLANNED_LAW, PLANNED_SIZES, family_plan, simulate_family

PLANTED_NOISE = Noise(order=0.001, run=0.001, branch=0.001, size=0.002)
#: What a decay gains of the trunk's loss, and what a planned run gains of a branch's.
DECAY_GAIN, PLANNED_GAIN = 0.04, 0.001
_CHOICES = 4


def planted_study(
    *,
    sizes: Sequence[str] = tuple(PLANNED_SIZES),
    seeds: int = 3,
    items: int = 40,
    law: Mapping[str, float] = PLANNED_LAW,
    noise: Noise = PLANTED_NOISE,
    seed: int = 0,
) -> ReferenceStudy:
    """Make up a family: losses follow the law and the noise exactly, skills follow the losses.

    A pass rate is a blind rate times a factor that grows as the loss falls; the higher a grade, the later it begins to
    grow. Facts composed in two steps and word problems stay at their blind rates. Decays gain the same share at every
    size and budget, and planned runs are better than branches by a known share.

    Parameters
    ----------
    sizes : of the family, rising. seeds : of each. items : of each family of the battery, over its grades.
    law : E, A, B, alpha, beta in bits per byte. noise : standard deviations of the log loss.
    seed : of everything random.
    """
    check_choices("sizes", list(sizes), PLANNED_SIZES)
    check_range("seeds", seeds, 1, integer=True)
    check_range("items", items, 20, integer=True)
    rng = np.random.default_rng([seed, 1])
    plan = family_plan({size: PLANNED_SIZES[size] for size in sizes}, seeds=seeds)
    family = simulate_family(law, noise, plan, seed=seed)
    runs = _with_rates(family)
    found = _items(runs, items, rng)
    # nats per token under a tokenizer of 2.25 bytes a token
    runs = runs.assign(nats_per_token_val_b=runs[METRIC] * np.log(2) * 2.25)
    runs = _with_scores(runs, found)
    compared = runs[runs["size"].isin(COMPARED_SIZES) & runs["tokens"].isin(PLANNED_BUDGETS)]
    planned = compared[["size", "n_parameters", "tokens", "seed", "rate"]].assign(
        **{METRIC: compared[METRIC] * (1 - PLANNED_GAIN + noise.branch * rng.standard_normal(len(compared)))}
    )
    trial = _trial(runs)
    trial_items = _items(trial, items, rng)
    return ReferenceStudy(
        runs,
        found,
        _trajectory(law, noise, family, rng),
        planned.reset_index(drop=True),
        _with_scores(trial, trial_items),
        trial_items,
    )


def _with_rates(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(rate=frame["n_parameters"].map(peak_rate), batch_tokens=BATCH_TOKENS)


def _trial(runs: pd.DataFrame) -> pd.DataFrame:
    """The trial's members under each mixture; a larger share of skills lowers the losses of the skills alone."""
    own = runs[runs["size"].isin(TRIAL_SIZES) & (runs["seed"] == 0) & (runs["tokens"] == REFERENCE_TOKENS)]
    own = own[["size", "n_parameters", "tokens", "seed", METRIC]]
    return pd.concat(
        [own.assign(skills_share=share, lowest_weight=weight) for share, weight in TRIAL_MIXTURES],
        ignore_index=True,
    )


def _items(models: pd.DataFrame, count: int, rng: np.random.Generator) -> pd.DataFrame:
    keys = [name for name in MODEL_KEYS if name in models]
    loss = models[METRIC].to_numpy()
    frames = []
    for family in (*CHOICE_FAMILIES, *GENERATION_FAMILIES):
        grades = SKILLS[family].grades if family in GENERATION_FAMILIES else (1,)
        skilled = family not in ("steps", "fact_hop")
        for place, grade in enumerate(grades):
            n = max(count // len(grades), 2)
            # in e-folds of the loss below 2.4 bits per byte; each grade begins a tenth later
            progress = np.clip(np.log(2.4 / loss) / np.log(1.5) - 0.1 * place, 0, None) * skilled
            made = (
                _choices(progress, n, rng) if family in CHOICE_FAMILIES else _answers(progress, place, n, rng)
            )
            models_of = models[keys].loc[models.index.repeat(n)].reset_index(drop=True)
            about = {
                "item": [f"{family}-{grade}-{k}" for k in range(n)] * len(models),
                "family": family,
                "grade": grade,
                "kind": _kind(family),
                "group": "",
            }
            frames.append(models_of.assign(**about, **made))
    return pd.concat(frames, ignore_index=True)


def _kind(family: str) -> str:
    if family in CHOICE_FAMILIES:
        return "choice"
    return "written" if family in WRITTEN_FAMILIES else "generation"


def _answers(progress: np.ndarray, place: int, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    blind = -(2.0 + 2.0 * place) - 0.3 * rng.standard_normal((1, n)) ** 2
    known = 1 - np.exp(-2 * progress[:, None] ** 2)
    log_p = blind * (1 - known) + 0.05 * rng.standard_normal((len(progress), n))
    return {
        "log_p": np.minimum(log_p, -1e-3).ravel(),
        "blind_log_p": np.tile(blind, (len(progress), 1)).ravel(),
        "answer_tokens": np.full(len(progress) * n, 2 + place),
    }


def _choices(progress: np.ndarray, n: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    correct = np.arange(n) % _CHOICES
    neutral = -5 + rng.standard_normal((1, n, _CHOICES))
    right = np.arange(_CHOICES) == correct[:, None]
    log_p = (
        neutral + right * progress[:, None, None] + 0.05 * rng.standard_normal((len(progress), n, _CHOICES))
    )
    log_p, neutral = (np.minimum(part, -1e-3) for part in (log_p, neutral + np.zeros_like(log_p)))
    columns = {"correct": np.tile(correct, len(progress)), "answer_tokens": np.full(len(progress) * n, 3)}
    for k in range(_CHOICES):
        columns |= {f"log_p_{k}": log_p[..., k].ravel(), f"log_p_neutral_{k}": neutral[..., k].ravel()}
    return columns


def _with_scores(runs: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """The runs with the pooled scores of every family, as <family>_score and <family>_blind."""
    keys = [name for name in MODEL_KEYS if name in runs]
    grades = grade_scores(items)
    weighted = grades.assign(score=grades["score"] * grades["n"], blind=grades["blind"] * grades["n"])
    sums = weighted.groupby([*keys, "family"], sort=False)[["score", "blind", "n"]].sum()
    wide = sums[["score", "blind"]].div(sums["n"], axis=0).unstack("family")
    wide.columns = [f"{family}_{measure}" for measure, family in wide.columns]
    return runs.merge(wide.reset_index(), on=keys)


def _trajectory(
    law: Mapping[str, float], noise: Noise, family: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    """Undecayed snapshots until the last branch leaves: the family's loss at as many tokens, without a decay's gain."""
    steps = {budget: -(-budget // BATCH_TOKENS) * BATCH_TOKENS for budget in BUDGETS}
    runs = family.groupby(["size", "n_parameters", "seed"], sort=False)["tokens"].max().reset_index()
    rungs = [BATCH_TOKENS * round(2 ** (15 + k / 2) / BATCH_TOKENS) for k in range(17)]
    rows = [
        {"size": run.size, "n_parameters": run.n_parameters, "seed": run.seed, "tokens": seen}
        for run in runs.itertuples(index=False)
        for seen in sorted({*rungs, *steps.values()})
        if seen <= (1 - DECAY_SHARE) * run.tokens
    ]
    frame = pd.DataFrame(rows)
    n, tokens = frame["n_parameters"].to_numpy(float), frame["tokens"].to_numpy(float)
    loss = law["E"] + law["A"] * n ** -law["alpha"] + law["B"] * tokens ** -law["beta"]
    effects = frame["size"].map(family.attrs["size"]) + frame["seed"].map(family.attrs["order"])
    scatter = np.exp(effects + noise.pooled_run * rng.standard_normal(len(frame)))
    return frame.assign(**{METRIC: loss / (1 - DECAY_GAIN) * scatter})
