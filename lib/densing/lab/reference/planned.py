"""Runs planned for one budget under a cosine schedule: what the branches of a trunk are compared with."""

from typing import Any

from densing.lab.reference.plan import reference_spec
from densing.lab.runs import Row, RunSpec
from densing.training.schedules import cosine

SWEEP = "reference_cosine"
TASK = "densing.lab.reference.planned:planned_rows"
PLANNED_SIZES, PLANNED_BUDGETS, PLANNED_SEEDS = ("d0.05M", "d0.2M"), (1_000_000, 4_000_000), (0, 1, 2)
WARMUP_SHARE, FINAL = 0.02, 0.1


def cosine_plan(device: str = "cpu") -> list[RunSpec]:
    """The planned runs: two sizes, two budgets, three seeds, on the same text in the same order as the branches."""
    return [
        cosine_spec(size, budget, seed, device=device)
        for seed in PLANNED_SEEDS
        for budget in PLANNED_BUDGETS
        for size in PLANNED_SIZES
    ]


def cosine_spec(size: str, budget: int, seed: int, *, device: str = "cpu") -> RunSpec:
    """One run of `budget` tokens: the size's own peak rate, warm-up over 2 % of its budget, cosine to a tenth."""
    spec = reference_spec(size, seed, budgets=(budget,), sweep=SWEEP, device=device)
    unused = ("warmup_tokens", "decay_share", "items", "choice_items")
    config = {key: value for key, value in spec.config.items() if key not in unused}
    config |= {"schedule": "cosine", "warmup_share": WARMUP_SHARE, "final": FINAL}
    return RunSpec(SWEEP, TASK, config, spec.work)


def planned_rows(config: dict[str, Any]) -> list[Row]:
    """Train one planned run and measure its losses (the task of `cosine_spec`)."""
    from densing.lab.reference.evaluation import split_losses
    from densing.lab.reference.training import open_trainer

    budget = int(config["budgets"])
    trainer = open_trainer(config, budget)
    steps = max(1, round(budget / trainer.batch_tokens))
    tokens = steps * trainer.batch_tokens
    trainer.schedule = cosine(tokens, warmup_tokens=config["warmup_share"] * tokens, final=config["final"])
    trainer.run_to(steps)
    losses, _ = split_losses(trainer.model.eval(), config["tokenizer"], ("val_a", "val_b"))
    return [{"row": 0, "tokens": budget, **losses}]
