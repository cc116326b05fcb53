"""How losses and skills grow along the undecayed trunks."""

from typing import Any

import numpy as np

from densing.data.tokenizers import DOCUMENT
from densing.evaluation.capability.battery import evaluate
from densing.evaluation.capability.battery_summary import summarize
from densing.evaluation.likelihood import bits_per_character, document_losses
from densing.lab.reference.evaluation import family_columns
from densing.lab.reference.plan import reference_plan
from densing.lab.reference.recipe import BUDGETS, CONTEXT
from densing.lab.reference.text import family_split, family_tokenizer
from densing.lab.reference.training import branches, load_snapshot, snapshots
from densing.lab.runs import Row, RunSpec

SWEEP = "reference_trajectory"
TASK = "densing.lab.reference.trajectory:trajectory_rows"
ITEMS = 200
TEXT_BYTES = 100_000
_DRAWS = 200


def trajectory_plan(device: str = "cpu") -> list[RunSpec]:
    """One run a trunk of the family: its undecayed snapshots, a factor sqrt(2) apart in tokens."""
    last: dict[tuple[str, int], RunSpec] = {}
    for spec in reference_plan("full", device=device):
        last[spec.config["size"], spec.config["seed"]] = spec
    plan = []
    for spec in last.values():
        config = {key: value for key, value in spec.config.items() if key != "choice_items"}
        config |= {"items": ITEMS, "text_bytes": TEXT_BYTES}
        plan.append(RunSpec(SWEEP, TASK, config, spec.work))
    return plan


def trajectory_rows(config: dict[str, Any]) -> list[Row]:
    """Measure every snapshot of one trunk (the task of `trajectory_plan`); trains the trunk if it is not there."""
    largest = int(config["budgets"].split()[-1])
    early = " ".join(str(budget) for budget in BUDGETS if budget <= largest)
    for _ in branches({**config, "budgets": early}):
        pass
    tokenizer = family_tokenizer(config["tokenizer"])
    ids, offsets, sizes = family_split(config["tokenizer"], "val_b")
    sizes = np.cumsum(sizes)
    count = int(np.searchsorted(sizes, config["text_bytes"])) + 1
    rows = []
    for i, (tokens, path) in enumerate(snapshots(config)):
        model = load_snapshot(path, config)
        nll, _, _ = document_losses(
            model,
            ids[: offsets[count]],
            offsets[: count + 1],
            length=CONTEXT,
            marker=tokenizer.token_to_id(DOCUMENT),
        )
        frame = evaluate(model, tokenizer, items=config["items"])
        rows.append(
            {
                "row": i,
                "tokens": tokens,
                "bits_per_byte_val_b": bits_per_character(nll.sum(), float(sizes[count - 1])),
                **family_columns(summarize(frame, draws=_DRAWS)),
            }
        )
    return rows
