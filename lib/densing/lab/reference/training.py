"""Training a trunk of the family with its branches, from where it was left."""

import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from densing.data.paths import repository_root
from densing.errors import InputError
from densing.lab.reference.recipe import BUDGETS, CONTEXT, training_windows
from densing.models.decoder import Decoder, DecoderConfig
from densing.training.branches import Trunk
from densing.training.trainer import Trainer

#: What makes a trunk what it is; the budgets of its branches do not.
TRUNK_KEYS = (
    "width", "layers", "heads", "ff_width", "embedding_std", "vocab_size", "tokenizer", "seed", "rate", "batch_tokens",
    "skills_share", "lowest_weight", "warmup_tokens", "decay_share", "corpus", "skills",
)  # fmt: skip
STATES = "DENSING_REFERENCE"  # environment variable
SNAPSHOT_RATIO = math.sqrt(2)
FIRST_SNAPSHOT = 32_768
_HORIZON = 8_000_000  # every order of documents is cut from this one, so that runs share their windows


def branches(
    config: dict[str, Any],
    *,
    folder: Path | None = None,
    opened: Callable[[dict[str, Any], int], Trainer] | None = None,
) -> Iterator[tuple[int, Decoder, float]]:
    """Every budget of a run's configuration with its decayed model and the seconds that its training took.

    The trunk's state is kept at every point where a branch leaves, and every finished branch with it, so a
    run that is stopped goes on from there, and a later run with larger budgets goes on from this trunk.
    Undecayed snapshots are kept a factor sqrt(2) apart in tokens for the trajectory.

    Parameters
    ----------
    config : as `reference_spec` makes it.
    folder : where states are kept; `trunk_folder` by default.
    opened : gives a trainer at step 0 for the largest budget; `open_trainer`, on the family's text, by default.
    """
    folder = folder or trunk_folder(config)
    trunk: Trunk | None = None
    budgets = [int(text) for text in config["budgets"].split()]
    for budget in budgets:
        done = folder / f"branch-{budget}.safetensors"
        if not done.is_file():
            if trunk is None:
                trunk = _open_trunk(config, folder, (opened or open_trainer)(config, budgets[-1]), budget)
            _train_branch(trunk, folder, budget)
        model, about = _load(done, config)
        yield budget, model, float(about["seconds"])


def trunk_folder(config: dict[str, Any]) -> Path:
    """Where the states of a trunk and its branches are kept between runs: under ``$DENSING_REFERENCE`` if it is set."""
    identity = json.dumps({key: config[key] for key in TRUNK_KEYS}, sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    root = os.environ.get(STATES)
    return (Path(root) if root else repository_root() / "_build" / "reference") / digest


@contextmanager
def no_kept_states() -> Iterator[None]:
    """Inside, nothing trained before is found, by this process and those it starts; states are dropped at the end."""
    before = os.environ.get(STATES)
    with tempfile.TemporaryDirectory(prefix="densing-reference-") as folder:
        os.environ[STATES] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[STATES]
            else:
                os.environ[STATES] = before


def snapshots(config: dict[str, Any]) -> list[tuple[int, Path]]:
    """Tokens and file of the undecayed snapshots of a trunk that exist."""
    found = trunk_folder(config).glob("snapshot-*.safetensors")
    return sorted((int(path.stem.split("-")[1]), path) for path in found)


def load_snapshot(path: Path, config: dict[str, Any]) -> Decoder:
    """The undecayed model of a snapshot."""
    return _load(path, config)[0]


def decoder_of(config: dict[str, Any]) -> Decoder:
    """The untrained decoder of a run."""
    shape = DecoderConfig(
        config["vocab_size"],
        config["width"],
        config["layers"],
        config["heads"],
        context=CONTEXT,
        ff_width=config["ff_width"],
        embedding_std=config["embedding_std"],
    )
    return Decoder(shape, seed=config["seed"])


def open_trainer(config: dict[str, Any], budget: int) -> Trainer:
    """A trainer at step 0 of a run's decoder on its windows, enough for `budget` tokens."""
    sequences = config["batch_tokens"] // CONTEXT
    tokens = max(_HORIZON, budget) if config["corpus"] != "quick" else budget
    steps = -(-tokens // config["batch_tokens"])
    windows = training_windows(
        config["tokenizer"],
        steps * config["batch_tokens"],
        seed=config["seed"],
        skills_share=config["skills_share"],
        lowest_weight=config["lowest_weight"],
    )
    return Trainer(
        decoder_of(config),
        windows,
        schedule=lambda tokens: 1.0,
        peak_rate=config["rate"],
        batch_sequences=sequences,
        device=config.get("device", "cpu"),
    )


def _open_trunk(config: dict[str, Any], folder: Path, trainer: Trainer, budget: int) -> Trunk:
    trunk = Trunk(trainer, warmup_tokens=config["warmup_tokens"], decay_share=config["decay_share"])
    states = sorted(
        (int(path.stem.split("-")[1]), path)
        for path in folder.glob("trunk-*.safetensors")
        if int(path.stem.split("-")[1]) <= trunk.departure(budget)
    )
    if states:
        tensors, about = read_tensors(states[-1][1])
        trainer.restore(tensors)
        trunk.seconds = float(about["seconds"])
    else:
        trunk.seconds = 0.0
    return trunk


class _Snapshots:
    """Keeps undecayed weights a factor sqrt(2) apart in tokens, and at every budget."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def after_step(self, trainer: Trainer, loss: float) -> None:
        seen, before = trainer.tokens_seen, trainer.tokens_seen - trainer.batch_tokens
        at_budget = any(before < budget <= seen for budget in BUDGETS)
        if at_budget or (seen >= FIRST_SNAPSHOT and _rung(seen) > _rung(before)):
            weights = {name: value.half() for name, value in trainer.model.state_dict().items()}
            write_tensors(self.folder / f"snapshot-{seen}.safetensors", weights, {})


def _rung(tokens: int) -> int:
    return math.floor(math.log(max(tokens, 1) / FIRST_SNAPSHOT, SNAPSHOT_RATIO) + 1e-9)


def _train_branch(trunk: Trunk, folder: Path, budget: int) -> None:
    start = time.perf_counter()
    trunk.trainer.run_to(trunk.departure(budget), _Snapshots(folder))
    trunk.seconds += time.perf_counter() - start
    about = {"seconds": f"{trunk.seconds:.3f}"}
    write_tensors(folder / f"trunk-{trunk.trainer.step_count}.safetensors", trunk.trainer.state(), about)
    start = time.perf_counter()
    branch = trunk.branch(budget)
    about = {
        "seconds": f"{trunk.seconds + time.perf_counter() - start:.3f}",
        "tokens": str(branch.tokens_seen),
    }
    write_tensors(folder / f"branch-{budget}.safetensors", branch.model.state_dict(), about)


def _load(path: Path, config: dict[str, Any]) -> tuple[Decoder, dict[str, str]]:
    tensors, about = read_tensors(path)
    model = decoder_of(config)
    model.load_state_dict({name: value.float() for name, value in tensors.items()})
    return model.eval(), about


def write_tensors(path: Path, tensors: dict[str, torch.Tensor], about: dict[str, str]) -> None:
    """Write a safetensors file all or nothing."""
    from safetensors.torch import save

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    part.write_bytes(save(contiguous, metadata=about))
    os.replace(part, path)


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors of a safetensors file and its metadata.

    Raises
    ------
    InputError : a file that is not one (named).
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except SafetensorError as error:
        raise InputError(
            f"{path}: not a readable safetensors file ({error}); delete it to train again"
        ) from error
