"""Trials before the family was frozen: rates, batches and heads, one seed, judged on the development split."""

from typing import Any

from densing.checks import check_choice
from densing.lab.reference.plan import reference_spec
from densing.lab.reference.recipe import LOWEST_WEIGHT, SIZES, SKILLS_SHARE, peak_rate
from densing.lab.runs import Row, RunSpec

SWEEP = "reference_tuning"
TASK = "densing.lab.reference.tuning:tuning_rows"
RATES = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
TUNED_SIZES = ("d0.05M", "d0.2M", "d0.9M")
TUNING_TOKENS = 1_000_000
NARROW = 0.02
TRIAL_SWEEP = "reference_trial"
TRIAL_MIXTURES = ((0.25, 1.0), (0.25, 2.0), (0.4, 2.0))  # share of skills, weight of the lowest grades
TRIAL_SIZES = ("d0.05M", "d0.9M")
PARTS = ("heads", "first-rates", "rates", "batches", "check")


def tuning_plan(part: str) -> list[RunSpec]:
    """The runs of a trial, in the order in which the trials were made.

    Parameters
    ----------
    part : "heads" (other head counts, one rate a size) and "first-rates" (five rates at three sizes), both with
        the embedding's spread at 0.02; "rates" and "batches" (2,048 and 4,096 tokens, three rates) with its final
        spread; "check" (half, all and twice the frozen rate) on the final mixture.
    """
    check_choice("part", part, PARTS)
    if part == "heads":
        return [
            tuning_spec(size, rate=rate, heads=heads, embedding_std=NARROW)
            for size, rate, counts in (
                ("d0.05M", 4e-3, (1, 3)),
                ("d0.2M", 4e-3, (1, 4)),
                ("d0.9M", 2e-3, (1, 7)),
            )
            for heads in counts
        ]
    if part == "batches":
        return [
            tuning_spec(size, rate=rate, batch_tokens=batch)
            for batch in (2_048, 4_096)
            for size in ("d0.05M", "d0.9M")
            for rate in RATES[1:4]
        ]
    if part == "check":
        rate = peak_rate(SIZES["d0.2M"].n_parameters)
        return [
            tuning_spec("d0.2M", rate=rate * factor, skills_share=SKILLS_SHARE, lowest_weight=LOWEST_WEIGHT)
            for factor in (0.5, 1.0, 2.0)
        ]
    narrow = {"embedding_std": NARROW} if part == "first-rates" else {}
    return [tuning_spec(size, rate=rate, **narrow) for rate in RATES for size in TUNED_SIZES]


def trial_plan() -> list[RunSpec]:
    """The trial of the mixture before freezing: the smaller and the larger size at 4M tokens under three mixtures,
    each changed in one thing from the one before: as planned, lowest grades doubled, a larger share of skills."""
    return [
        reference_spec(size, skills_share=share, lowest_weight=weight, sweep=TRIAL_SWEEP)
        for share, weight in TRIAL_MIXTURES
        for size in TRIAL_SIZES
    ]


def tuning_spec(size: str, **options: Any) -> RunSpec:
    """One run of 1M tokens on the first mixture; options as `reference_spec`."""
    options = {"skills_share": TRIAL_MIXTURES[0][0], "lowest_weight": TRIAL_MIXTURES[0][1]} | options
    spec = reference_spec(size, budgets=(TUNING_TOKENS,), sweep=SWEEP, **options)
    return RunSpec(SWEEP, TASK, spec.config, spec.work)


def tuning_rows(config: dict[str, Any]) -> list[Row]:
    """Train one run and measure its loss on the development split (the task of `tuning_spec`)."""
    from densing.lab.reference.evaluation import split_losses
    from densing.lab.reference.training import branches

    return [
        {
            "row": i,
            "tokens": budget,
            "train_seconds": seconds,
            **split_losses(model, config["tokenizer"], ("val_a",))[0],
        }
        for i, (budget, model, seconds) in enumerate(branches(config))
    ]
