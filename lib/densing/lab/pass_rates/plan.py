"""The sampling sweep: every task of every member of the family, until it has passed often enough."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from densing.checks import check_choice, check_range
from densing.data.skills.mixture import SKILLS, evaluation_problems
from densing.data.tokenizers import load_tokenizer
from densing.errors import InputError
from densing.evaluation.capability.pass_rate_sampling import exact_passes, sampled_passes
from densing.lab.reference.recipe import (
    REFERENCE_TOKENS,
    SEEDS,
    SIZES,
    TOKENIZER,
    skills_digest,
)
from densing.lab.runs import Row, RunSpec

SWEEP = "passuntil"
TASK = "densing.lab.pass_rates.plan:pass_rows"
#: Families with one right answer, whose pass probability is exact.
PASS_FAMILIES = ("add", "subtract", "mod", "copy", "reverse", "sort", "count", "icl_map", "steps")
#: The family in which many written solutions are right: its rates must be sampled.
WRITTEN_FAMILY = "steps_cot"
#: A grade too small to be held out, kept for the law of steps.
_NOT_HELD_OUT = ("steps-1",)
_WRITTEN_INSTANCES, _WRITTEN_SAMPLES = 40, 200  # whole samples cost thirty times as much
COMMITTED_SEEDS = {"d2M": (0,)}
_STEP = 1 / 1_024  # nats; coarser numbers compress


def pass_tasks(families: Sequence[str] = (*PASS_FAMILIES, WRITTEN_FAMILY)) -> list[str]:
    """Tasks ``family-grade`` of some families: the grades with held-out instances (and one step, for its law)."""
    return [
        f"{family}-{grade}"
        for family in families
        for grade in SKILLS[family].grades
        if not SKILLS[family].memory(grade) or f"{family}-{grade}" in _NOT_HELD_OUT
    ]


def task_title(task: str) -> str:
    """A task's name for readers: ``icl_map-4`` is "icl map 4"."""
    return task.replace("_", " ").replace("-", " ")


def pass_spec(
    size: str,
    seed: int = 0,
    *,
    tokens: int = REFERENCE_TOKENS,
    tasks: Sequence[str] | None = None,
    instances: int = 200,
    greedy_instances: int = 500,
    passes: int = 10,
    max_samples: int = 5_000,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> RunSpec:
    """All tasks of one member of the family.

    Parameters
    ----------
    size, seed, tokens : the member, at the end of its decay.
    tasks : ``family-grade``; None: all of `pass_tasks`.
    instances : of each task, sampled and evaluated exactly, 5 to 5,000; a task may have fewer.
    greedy_instances : of each task, decoded greedily; at least `instances`.
    passes, max_samples : when an instance is done, 1 to 100 and 10 to 10,000,000.
    temperature, top_p : of the samples; only at 1 are there exact probabilities beside them.

    Raises
    ------
    InputError : a value out of range, or an unknown task.
    """
    check_choice("size", size, SIZES)
    check_range("seed", seed, 0, integer=True)
    check_range("tokens", tokens, 1, integer=True)
    check_range("instances", instances, 5, 5_000, integer=True)
    check_range("greedy_instances", greedy_instances, instances, 5_000, integer=True)
    check_range("passes", passes, 2, 100, integer=True)
    check_range("max_samples", max_samples, max(10, passes), 10_000_000, integer=True)
    check_range("top_p", top_p, 0, 1, open_low=True)
    check_range("temperature", temperature, 0)
    if temperature == 0:
        raise InputError("temperature = 0: greedy decoding has no pass rate; must be above 0")
    for task in pass_tasks() if tasks is None else tasks:
        _family_grade(task)
    shape = SIZES[size]
    config: dict[str, Any] = {
        "size": size,
        "n_parameters": shape.n_parameters,
        "tokens": int(tokens),
        "seed": seed,
        "tokenizer": TOKENIZER,
        "tasks": " ".join(pass_tasks() if tasks is None else tasks),
        "instances": instances,
        "greedy_instances": greedy_instances,
        "passes_wanted": passes,
        "max_samples": max_samples,
        "temperature": temperature,
        "top_p": top_p,
        "skills": skills_digest(),
    }
    per_token = shape.n_parameters + shape.n_embedding + 2 * shape.layers * shape.width * shape.context
    # small models wait for calls, not for operations
    return RunSpec(SWEEP, TASK, config, work=(per_token + 300_000) * len(config["tasks"].split()))


def pass_plan(scale: str = "book", *, seed: int = 0) -> list[RunSpec]:
    """The runs of a scale.

    Parameters
    ----------
    scale : ``"quick"`` (four sizes, two tasks, few instances), ``"committed"`` (the members whose checkpoints are
        committed; what a fresh chapter samples again) or ``"book"`` (all sizes and seeds at the reference budget).
    seed : of the member, for ``"quick"``.
    """
    check_choice("scale", scale, ("quick", "committed", "book"))
    if scale == "quick":
        return [
            pass_spec(
                size, seed, tasks=("copy-2", "steps-2"), instances=40, greedy_instances=60, max_samples=500
            )
            for size in tuple(SIZES)[:4]
        ]
    return [
        pass_spec(size, own)
        for own in SEEDS
        for size in SIZES
        if scale == "book" or own in COMMITTED_SEEDS.get(size, SEEDS)
    ]


def pass_rows(config: dict[str, Any]) -> list[Row]:
    """Sample the tasks of one member (the task of `pass_spec`).

    Returns
    -------
    One row a task: family, grade, counts over its instances, tokens sampled, greedy passes, mean exact rate and blind
    rate; as items the counts of every instance with its log_p and blind_log_p in nats.
    """
    from densing.lab.reference.store import load_reference

    model = load_reference(config["size"], config["tokens"], config["seed"], config["tokenizer"])
    tokenizer = load_tokenizer(config["tokenizer"])
    rows = []
    for i, task in enumerate(config["tasks"].split()):
        family, grade = _family_grade(task)
        written = family == WRITTEN_FAMILY
        problems = evaluation_problems(family, grade, config["greedy_instances"], 0)
        count = min(config["instances"], _WRITTEN_INSTANCES) if written else config["instances"]
        found = sampled_passes(
            model,
            tokenizer,
            problems[:count],
            passes=config["passes_wanted"],
            max_samples=min(config["max_samples"], _WRITTEN_SAMPLES) if written else config["max_samples"],
            temperature=config["temperature"],
            top_p=config["top_p"],
            verify="family" if written else "answer",
            seed=config["seed"],
        )
        row: Row = {"row": i, "family": family, "grade": grade, "n": len(found)}
        row |= {name: int(found[name].sum()) for name in ("passes", "samples", "censored")}
        row["sampled_tokens"] = int(found["tokens"].sum())
        found = found.drop(columns="tokens")
        if not written and config["temperature"] == config["top_p"] == 1:
            exact = exact_passes(model, tokenizer, problems)
            row |= {"greedy_passes": int(exact["greedy"].sum()), "greedy_n": len(exact)}
            exact = exact.drop(columns="greedy").iloc[: len(found)]
            row |= {
                f"{name}_rate": float(np.exp(exact[column]).mean())
                for name, column in (("exact", "log_p"), ("blind", "blind_log_p"))
            }
            numbers = ["log_p", "blind_log_p"]
            found[numbers] = (exact[numbers] / _STEP).round() * _STEP
        found = found.rename(columns={"instance": "item"})
        row["items"] = found.to_dict("records")
        rows.append(row)
    return rows


def _family_grade(task: str) -> tuple[str, int]:
    family, _, grade = task.rpartition("-")
    known = (*PASS_FAMILIES, WRITTEN_FAMILY)
    if family not in known or not grade.isdigit() or int(grade) not in SKILLS[family].grades:
        raise InputError(
            f"tasks: {task!r} must be a family of {', '.join(known)} with one of its grades, as 'copy-4'"
        )
    return family, int(grade)
