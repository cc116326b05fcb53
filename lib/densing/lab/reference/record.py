"""Recording the whole family: what `make reference` does, in the order of importance, resuming where it stopped."""

from collections.abc import Iterator

from densing.checks import check_choices
from densing.data.paths import repository_root
from densing.lab.reference.evaluation import battery_table
from densing.lab.reference.plan import SIBLING_SIZES, reference_plan, reference_spec
from densing.lab.reference.planned import cosine_plan
from densing.lab.reference.recipe import (
    BATCH_TOKENS,
    BUDGETS,
    REFERENCE_TOKENS,
    SEEDS,
    SIBLING_TOKENIZER,
    SIZES,
    TOKENIZER,
)
from densing.lab.reference.store import BATTERY, checkpoint_path, load_reference, write_checkpoint
from densing.lab.reference.training import load_snapshot, snapshots, trunk_folder
from densing.lab.reference.trajectory import trajectory_plan
from densing.lab.reference.tuning import PARTS, trial_plan, tuning_plan
from densing.lab.runs import RunSpec
from densing.lab.sweeps import run_sweep

STAGES = ("family", "cosine", "siblings", "trial", "tuning", "trajectory")
_TRUNK_TOKENS = (500_000, 1_000_000, 2_000_000, 4_000_000)


def recording_plan(stage: str) -> list[list[RunSpec]]:
    """The sweeps of a stage, each a list of runs of one table, the first ones first."""
    if stage in ("family", "trajectory"):
        groups: dict[tuple, list[RunSpec]] = {}
        for spec in reference_plan("full") if stage == "family" else trajectory_plan():
            budgets = spec.config["budgets"] if stage == "family" else ""
            groups.setdefault((budgets, spec.config["seed"]), []).append(spec)
        return list(groups.values())
    return {
        "cosine": lambda: [cosine_plan()],
        "siblings": lambda: [reference_plan("siblings")],
        "trial": lambda: [trial_plan()],
        "tuning": lambda: [tuning_plan(part) for part in PARTS],
    }[stage]()


def record(stages: tuple[str, ...] = (), *, processes: int = 2) -> None:
    """Run what is missing of each stage, then write the checkpoints and the table of items.

    Parameters
    ----------
    stages : some of `STAGES`; all by default.
    processes : runs at a time.
    """
    stages = tuple(stages) or STAGES
    check_choices("stages", stages, STAGES)
    for stage in stages:
        for specs in recording_plan(stage):
            run_sweep(specs, processes=processes)
    write_battery_table()
    for path in write_checkpoints():
        print(f"wrote {path.relative_to(repository_root())}")


def committed_members() -> list[tuple[str, int, int, str]]:
    """Size, budget, seed and tokenizer of every decayed branch that is committed."""
    small = tuple(SIZES)[:5]
    return [
        *((size, REFERENCE_TOKENS, 0, TOKENIZER) for size in SIZES),
        *((size, REFERENCE_TOKENS, seed, TOKENIZER) for seed in SEEDS[1:] for size in (*small, "d0.9M")),
        *(("d0.2M", budget, 0, TOKENIZER) for budget in BUDGETS if budget != REFERENCE_TOKENS),
        *((size, REFERENCE_TOKENS, 0, SIBLING_TOKENIZER) for size in SIBLING_SIZES),
    ]


def write_checkpoints() -> Iterator:
    """Write the committed checkpoints (half precision) that exist here and are not written yet."""
    for size, tokens, seed, tokenizer in committed_members():
        path = checkpoint_path(size, tokens, seed, tokenizer, "branch")
        spec = reference_spec(size, seed, budgets=(tokens,), tokenizer=tokenizer)
        if path.is_file() or not (trunk_folder(spec.config) / f"branch-{tokens}.safetensors").is_file():
            continue
        model = load_reference(size, tokens, seed, tokenizer)
        write_checkpoint(model, path, spec.config | {"command": "make reference"}, tokenizer)
        yield path
    spec = reference_spec("d0.2M", 0, tokenizer=SIBLING_TOKENIZER)
    for seen, source in snapshots(spec.config):
        nominal = next((tokens for tokens in _TRUNK_TOKENS if 0 <= seen - tokens < BATCH_TOKENS), None)
        if nominal is None:
            continue
        path = checkpoint_path("d0.2M", nominal, 0, SIBLING_TOKENIZER, "trunk")
        if not path.is_file():
            about = spec.config | {"tokens": seen, "command": "make reference"}
            write_checkpoint(load_snapshot(source, spec.config), path, about, SIBLING_TOKENIZER)
            yield path


def write_battery_table() -> None:
    """Write what every item of the battery is, for both tokenizers."""
    import pandas as pd

    path = repository_root() / "data" / "runs" / f"{BATTERY}.parquet"
    frames = []
    for tokenizer in (TOKENIZER, SIBLING_TOKENIZER):
        config = reference_spec("d0.01M", tokenizer=tokenizer).config
        table = battery_table(tokenizer, items=config["items"], choice_items=config["choice_items"])
        frames.append(table.assign(tokenizer=tokenizer))
    pd.concat(frames, ignore_index=True).to_parquet(path, index=False)
