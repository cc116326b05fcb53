"""The runs of a ladder on own text: trained branch by branch, each measured and written at once."""

import json
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from densing.data.packing import pack
from densing.data.tokenizers import write_whole
from densing.evaluation.text_loss import text_losses
from densing.lab.reference.recipe import CONTEXT
from densing.lab.reference.training import branches, decoder_of
from densing.training.trainer import Trainer

IDS, OFFSETS, TOKENIZER, VALIDATION = (
    "train-ids.npy",
    "train-offsets.npy",
    "tokenizer.json",
    "validation.jsonl",
)
METRIC = "bits_per_byte"


def run_folder(folder: Path, size: str, seed: int) -> Path:
    """Where a ladder keeps the states and checkpoints of one run."""
    return folder / "runs" / f"{size}-seed{seed}"


def row_path(folder: Path, size: str, seed: int, tokens: int) -> Path:
    """Where the losses of a finished branch are kept."""
    return run_folder(folder, size, seed) / f"row-{tokens}.json"


def train_missing(
    plan: Sequence[dict[str, Any]], folder: Path, *, allow_repeat: bool, processes: int, progress: bool
) -> None:
    """Train and measure what a ladder lacks of its plan.

    Parameters
    ----------
    plan : configurations in the words of the family's plan.
    folder : of the ladder, with its encoded text, tokenizer and validation texts.
    allow_repeat : go on with the first window after the last.
    processes : runs at a time, each of one thread.
    progress : show a progress bar.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    todo = [left for run in plan if (left := _left(run, folder))]
    if not todo:
        return
    todo.sort(key=_work, reverse=True)
    jobs = (delayed(_train)(run, folder, allow_repeat) for run in todo)
    if processes == 1 or len(todo) == 1:
        finished = (job[0](*job[1], **job[2]) for job in jobs)
    else:
        finished = Parallel(min(processes, len(todo)), backend="loky", return_as="generator_unordered")(jobs)
    bar = tqdm(total=sum(map(_work, todo)), disable=not progress, file=sys.stdout, mininterval=1,
               bar_format="{desc}{percentage:3.0f}% |{bar:20}| {elapsed} passed, {remaining} left")  # fmt: skip
    for count, run in enumerate(finished, 1):
        bar.set_description_str(f"{count}/{len(todo)} ")
        bar.update(_work(run))
    bar.close()


def validation_texts(folder: Path) -> list[str]:
    """The documents that a ladder keeps apart."""
    with open(folder / VALIDATION, encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def _left(run: dict[str, Any], folder: Path) -> dict[str, Any] | None:
    """The run with the budgets that are not measured yet; None if all are."""
    budgets = [int(text) for text in run["budgets"].split()]
    left = [b for b in budgets if not row_path(folder, run["size"], run["seed"], b).is_file()]
    return run | {"budgets": " ".join(map(str, left))} if left else None


def _work(run: dict[str, Any]) -> float:
    budgets = [int(text) for text in run["budgets"].split()]
    return run["n_total"] * (max(budgets) + run["decay_share"] * sum(budgets))


def _train(run: dict[str, Any], folder: Path, allow_repeat: bool) -> dict[str, Any]:
    from tokenizers import Tokenizer

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        texts = validation_texts(folder)
        place = run_folder(folder, run["size"], run["seed"])
        opened = partial(_open_trainer, folder=folder, allow_repeat=allow_repeat)
        for budget, model, seconds in branches(run, folder=place, opened=opened):
            start = time.perf_counter()
            losses = text_losses(model.to(run["device"]), tokenizer, texts, device=run["device"])
            row = {
                METRIC: losses.bits_per_byte,
                "nats_per_token": float(losses.nats.sum() / losses.tokens),
                "train_seconds": round(seconds, 3),
                "evaluation_seconds": round(time.perf_counter() - start, 3),
                "document_nats": [round(float(nats), 4) for nats in losses.nats],
            }
            content = {
                **{key: value for key, value in run.items() if key != "budgets"},
                **row,
            }
            write_whole(row_path(folder, run["size"], run["seed"], budget), json.dumps(content).encode())
    finally:
        torch.set_num_threads(threads)
    return run


def _open_trainer(run: dict[str, Any], budget: int, *, folder: Path, allow_repeat: bool) -> Trainer:
    """A trainer at step 0 on the ladder's text in the order of the run's seed, enough for `budget` tokens.

    A longer text begins with the shorter one, so a budget that is added later goes on with the same trunk.
    """
    ids, offsets = np.load(folder / IDS, mmap_mode="r"), np.load(folder / OFFSETS)
    steps = max(1, round(budget / run["batch_tokens"]))
    needed = steps * run["batch_tokens"] // CONTEXT
    windows = pack(ids, offsets, CONTEXT, limit=needed, seed=run["seed"])
    return Trainer(
        decoder_of(run),
        windows,
        schedule=lambda tokens: 1.0,
        peak_rate=run["rate"],
        batch_sequences=run["batch_tokens"] // CONTEXT,
        allow_repeat=allow_repeat,
        device=run["device"],
    )
