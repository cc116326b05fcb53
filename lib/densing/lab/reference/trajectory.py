"""How losses and skills grow along the undecayed trunks."""

from typing import Any

from densing.evaluation.capability.battery import evaluate
from densing.evaluation.capability.battery_summary import summarize
from densing.lab.reference.evaluation import family_columns, split_losses
from densing.lab.reference.plan import reference_plan
from densing.lab.reference.recipe import BUDGETS
from densing.lab.reference.text import family_tokenizer
from densing.lab.reference.training import branches, load_snapshot, snapshots
from densing.lab.runs import Row, RunSpec

SWEEP = "reference_trajectory"
TASK = "densing.lab.reference.trajectory:trajectory_rows"
ITEMS = 200
_DRAWS = 200


def trajectory_plan(device: str = "cpu") -> list[RunSpec]:
    """One run a trunk of the family: its undecayed snapshots, a factor sqrt(2) apart in tokens."""
    last: dict[tuple[str, int], RunSpec] = {}
    for spec in reference_plan("full", device=device):
        last[spec.config["size"], spec.config["seed"]] = spec
    plan = []
    for spec in last.values():
        config = {key: value for key, value in spec.config.items() if key != "choice_items"}
        config |= {"items": ITEMS}
        plan.append(RunSpec(SWEEP, TASK, config, spec.work))
    return plan


def trajectory_rows(config: dict[str, Any]) -> list[Row]:
    """Measure every snapshot of one trunk (the task of `trajectory_plan`); trains the trunk if it is not there."""
    largest = int(config["budgets"].split()[-1])
    early = " ".join(str(budget) for budget in BUDGETS if budget <= largest)
    for _ in branches({**config, "budgets": early}):
        pass
    tokenizer = family_tokenizer(config["tokenizer"])
    rows = []
    for i, (tokens, path) in enumerate(snapshots(config)):
        model = load_snapshot(path, config)
        losses, _ = split_losses(model, config["tokenizer"], ("val_b",))
        frame = evaluate(model, tokenizer, items=config["items"])
        rows.append(
            {
                "row": i,
                "tokens": tokens,
                **losses,
                **family_columns(summarize(frame, draws=_DRAWS)),
            }
        )
    return rows
