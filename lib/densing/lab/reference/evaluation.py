"""What is measured on every decayed branch of the family."""

from typing import TYPE_CHECKING, Any

import numpy as np

from densing.data.tokenizers import DOCUMENT
from densing.errors import ArchiveMissing
from densing.evaluation.capability.battery import evaluate
from densing.evaluation.capability.battery_summary import POOLED, summarize
from densing.evaluation.likelihood import bits_per_character, document_losses
from densing.lab.reference.recipe import CONTEXT, REFERENCE_TOKENS
from densing.lab.reference.text import family_split, family_tokenizer
from densing.lab.reference.training import branches
from densing.lab.runs import Row

if TYPE_CHECKING:
    import pandas as pd

    from densing.models.decoder import Decoder

SPLITS = ("val_a", "val_b", "val_c")
ITEMS_KEPT = 500  # of a family's items, log-probabilities are kept for the first of them
_SCORES = (
    "score", "blind", "log_ratio", "log_ratio_lower", "log_ratio_upper", "conditional_loss", "p_choices", "p_vocab",
    "accuracy_byte", "accuracy_neutral", "brier",
)  # fmt: skip
_DRAWS = 200
_STEP = 1 / 1_024  # nats; coarser numbers compress


def reference_rows(config: dict[str, Any]) -> list[Row]:
    """Train what is missing of a run and measure every branch (the task of `reference_spec`).

    Returns
    -------
    One row a budget: losses in bits per byte on the three splits and nats per token on the reported one, and
    for every family of the battery its summary; as items the log-probabilities of every item and the nats of
    every document of the reported split.
    """
    rows = []
    for i, (budget, model, seconds) in enumerate(branches(config)):
        losses, texts = split_losses(model, config["tokenizer"])
        frame = evaluate(
            model,
            family_tokenizer(config["tokenizer"]),
            items=config["items"],
            choice_items=config["choice_items"] if budget >= REFERENCE_TOKENS else config["items"],
        )
        rows.append(
            {
                "row": i,
                "tokens": budget,
                "train_seconds": seconds,
                **losses,
                **family_columns(summarize(frame, draws=_DRAWS)),
                "items": [*item_records(frame), *texts],
            }
        )
    return rows


def family_columns(summary: "pd.DataFrame") -> Row:
    """Pooled scores of every family as columns ``<family>_<measure>``."""
    pooled = summary[summary["grade"] == POOLED]
    return {
        f"{row['family']}_{name}": float(row[name])
        for row in pooled.to_dict("records")
        for name in _SCORES
        if name in row and row[name] is not None and np.isfinite(row[name])
    }


def item_records(frame: "pd.DataFrame", kept: int = ITEMS_KEPT) -> list[Row]:
    """Log-probabilities of the first `kept` items of every choice family and of all others, in nats."""
    numbers = [name for name in frame if name.startswith(("log_p", "blind_log_p"))]
    place = frame.groupby("family").cumcount()
    chosen = frame[(frame["kind"] != "choice") | (place < kept)]
    values = (chosen[numbers] / _STEP).round() * _STEP
    return [
        {
            "item": item,
            **{name: float(value) for name, value in zip(numbers, row, strict=True) if value == value},
        }
        for item, row in zip(chosen["item"], values.to_numpy(float), strict=True)
    ]


def battery_table(tokenizer: str, *, items: int, choice_items: int) -> "pd.DataFrame":
    """What every item of the battery is, whatever the model: family, grade, kind, group, correct choice, lengths.

    The texts are not part of it: `choice_items` and `evaluation_problems` make them.
    """
    from densing.lab.reference.recipe import family_shape
    from densing.models.decoder import Decoder

    entries = family_tokenizer(tokenizer)
    model = Decoder(family_shape("d0.01M", entries.get_vocab_size()))
    frame = evaluate(model, entries, items=items, choice_items=choice_items)
    about = ("item", "family", "grade", "kind", "group", "tokens", "correct")
    return frame[[c for c in frame if c in about or c.startswith(("bytes_", "tokens_"))]]


def split_losses(
    model: "Decoder", tokenizer: str, splits: tuple[str, ...] = SPLITS
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Losses on whole splits, and the nats of every document of the reported split (val_b).

    A split whose package archive is absent is left out (nan).
    """
    marker = family_tokenizer(tokenizer).token_to_id(DOCUMENT)
    losses: dict[str, float] = {}
    texts: list[dict[str, Any]] = []
    for split in splits:
        try:
            ids, offsets, sizes = family_split(tokenizer, split)
        except ArchiveMissing:
            losses[f"bits_per_byte_{split}"] = float("nan")
            continue
        nll, _, bounds = document_losses(model, ids, offsets, length=CONTEXT, marker=marker)
        losses[f"bits_per_byte_{split}"] = bits_per_character(nll.sum(), float(sizes.sum()))
        if split == "val_b":
            losses["nats_per_token_val_b"] = float(nll.mean())
            per_document = np.add.reduceat(nll, bounds[:-1])
            texts = [
                {"item": f"val_b:{k}", "log_p": -round(float(nats), 3)} for k, nats in enumerate(per_document)
            ]
    return losses, texts
