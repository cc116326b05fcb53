"""Reading the recorded family: rows, items and checkpoints."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.checks import check_choice
from densing.data.paths import repository_root
from densing.data.provenance import record_file
from densing.data.tokenizers import load_tokenizer, tokenizer_digest
from densing.errors import InputError
from densing.lab.reference.plan import SWEEP, reference_plan
from densing.lab.reference.recipe import REFERENCE_TOKENS, SIZES, TOKENIZER, family_shape
from densing.lab.reference.training import (
    load_snapshot,
    read_tensors,
    snapshots,
    trunk_folder,
    write_tensors,
)
from densing.lab.runs import load_runs
from densing.models.decoder import Decoder

if TYPE_CHECKING:
    import pandas as pd

    from densing.fitters.scaling.results import ScalingLawResults

BATTERY = "reference_battery"
_WEIGHTS = "float16"


def load_reference_runs(tokenizer: str | None = TOKENIZER) -> "pd.DataFrame":
    """The recorded decayed branches of the family: a row a size, seed and budget.

    Parameters
    ----------
    tokenizer : keep the ladder of one tokenizer; None: all.
    """
    frame = load_runs(SWEEP)
    if tokenizer is not None:
        check_choice("tokenizer", tokenizer, sorted(frame["tokenizer"].unique()))
        frame = frame[frame["tokenizer"] == tokenizer]
    order = {size: i for i, size in enumerate(SIZES)}
    return frame.sort_values(
        ["tokenizer", "size", "seed", "tokens"],
        key=lambda column: column.map(order) if column.name == "size" else column,
        ignore_index=True,
    )


def load_reference_items(tokenizer: str = TOKENIZER, *, texts: bool = False) -> "pd.DataFrame":
    """Item-level log-probabilities of the family, with what every item is.

    Parameters
    ----------
    tokenizer : of the ladder.
    texts : the documents of the reported split instead (log_p is minus their nats).

    Returns
    -------
    Frame with size, n_parameters, seed, tokens, item, family, grade, kind, group, correct, log_p_k,
    log_p_neutral_k, bytes_k, tokens_k for choices, log_p and blind_log_p for generation; nats.
    """
    import pandas as pd

    runs = load_reference_runs(tokenizer)[["digest", "row", "size", "n_parameters", "seed", "tokens"]]
    items = load_runs(SWEEP, items=True)
    is_text = items["item"].str.startswith("val_b:")
    items = items[is_text] if texts else items[~is_text]
    frame = runs.merge(items, on=["digest", "row"]).drop(columns=["digest", "row"])
    if texts:
        return frame[["size", "n_parameters", "seed", "tokens", "item", "log_p"]]
    path = repository_root() / "data" / "runs" / f"{BATTERY}.parquet"
    battery = pd.read_parquet(record_file(path))
    battery = battery[battery["tokenizer"] == tokenizer].drop(columns="tokenizer")
    return frame.merge(battery.rename(columns={"tokens": "answer_tokens"}), on="item", validate="many_to_one")


def load_reference(
    name: str,
    tokens: int = REFERENCE_TOKENS,
    seed: int = 0,
    tokenizer: str = TOKENIZER,
    stage: str = "branch",
) -> Decoder:
    """A trained member of the family.

    Parameters
    ----------
    name : one of `SIZES`.
    tokens : its budget; for a trunk, the tokens seen.
    seed, tokenizer : of the run.
    stage : "branch" (decayed) or "trunk" (undecayed).

    Raises
    ------
    InputError : an unknown size or stage; a member that is neither committed nor trained here (lists those that
        are); a checkpoint of another tokenizer than this corpus's.
    """
    check_choice("name", name, SIZES)
    check_choice("stage", stage, ("branch", "trunk"))
    path = checkpoint_path(name, tokens, seed, tokenizer, stage)
    if path.is_file():
        return _read(record_file(path), name, tokenizer)
    for config in _configs(name, seed, tokenizer):
        if stage == "branch":
            local = trunk_folder(config) / f"branch-{tokens}.safetensors"
            if local.is_file():
                return load_snapshot(local, config)
        elif snapshot := dict(snapshots(config)).get(tokens):
            return load_snapshot(snapshot, config)
    known = ", ".join(sorted(p.stem for p in path.parent.glob("*.safetensors"))) or "none"
    raise InputError(
        f"{path.stem}: not among the committed checkpoints ({known}); `make reference` trains the whole family"
    )


def checkpoint_path(name: str, tokens: int, seed: int, tokenizer: str, stage: str) -> Path:
    """Where a member of the family is committed, if it is."""
    parts = [name, f"{tokens / 1e6:g}M", f"seed{seed}"]
    parts += [tokenizer] * (tokenizer != TOKENIZER) + [stage] * (stage != "branch")
    return repository_root() / "data" / "checkpoints" / "reference" / f"{'-'.join(parts)}.safetensors"


def write_checkpoint(model: Decoder, path: Path, about: dict[str, Any], tokenizer: str) -> None:
    """Write a model in half precision with what made it."""
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in about.items()}
    text |= {"tokenizer_sha256": tokenizer_digest(load_tokenizer(tokenizer)), "weights": _WEIGHTS}
    write_tensors(path, {name: value.half() for name, value in model.state_dict().items()}, text)


def reference_law(
    metric: str = "bits_per_byte_val_b", tokenizer: str = TOKENIZER, *, draws: int = 0, seed: int = 0
) -> "ScalingLawResults":
    """L(N, D) = E + A/N^alpha + B/D^beta fitted to the family's decayed branches.

    Parameters
    ----------
    metric : column of the recorded rows, a loss.
    tokenizer : of the ladder.
    draws : bootstrap draws of the constants, 0 for none.
    seed : of the draws.

    Raises
    ------
    InputError : a metric that the rows lack (lists those that they have).
    """
    from densing.fitters.scaling.estimator import ScalingLaw

    frame = load_reference_runs(tokenizer)
    losses = [
        name
        for name in frame
        if name.startswith(("bits_per_byte", "nats_per_token")) or name.endswith("_loss")
    ]
    check_choice("metric", metric, losses)
    runs = frame["size"] + "-" + frame["seed"].astype(str)
    columns = {"N": "n_parameters", "D": "tokens", "y": metric}
    return ScalingLaw("chinchilla", frame, columns=columns, groups=runs.tolist()).fit(
        bootstrap=draws, seed=seed
    )


def _configs(name: str, seed: int, tokenizer: str) -> list[dict[str, Any]]:
    specs = [*reference_plan("full"), *reference_plan("siblings")]
    return [
        spec.config
        for spec in specs
        if (spec.config["size"], spec.config["seed"], spec.config["tokenizer"]) == (name, seed, tokenizer)
    ]


def _read(path: Path, name: str, tokenizer: str) -> Decoder:
    tensors, about = read_tensors(path)
    entries = load_tokenizer(tokenizer)
    if about.get("tokenizer_sha256") != tokenizer_digest(entries):
        raise InputError(f"{path.name}: was trained with another tokenizer than this corpus's {tokenizer}")
    model = Decoder(family_shape(name, entries.get_vocab_size()))
    model.load_state_dict({key: value.float() for key, value in tensors.items()})
    return model.eval()
