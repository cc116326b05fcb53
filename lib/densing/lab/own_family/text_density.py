"""Capacity density of any model that has a loss in bits per byte, against a ladder measured on the same texts."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_range
from densing.data.corpora import documents
from densing.errors import InputError
from densing.evaluation.text_loss import TextLosses, text_losses
from densing.lab.own_family.checkpoints import open_checkpoint
from densing.lab.own_family.ladder import Ladder, load_ladder
from densing.lab.own_family.power_line import fit_power_line, power_density
from densing.lab.own_family.runs import METRIC
from densing.lab.reference.recipe import BATCH_TOKENS, REFERENCE_TOKENS, SEEDS, SIZES, TOKENIZER
from densing.lab.reference.store import checkpoint_path, load_reference_items, load_reference_runs
from densing.lab.yardstick.density import capacity_density
from densing.lab.yardstick.fitted import FittedReference, fit_reference
from densing.lab.yardstick.noise import Noise
from densing.lab.yardstick.results import Density
from densing.lab.yardstick.rows import METRIC as RECORDED_METRIC
from densing.lab.yardstick.rows import read_reference

if TYPE_CHECKING:
    from torch import nn

LEAST_SIZES = 4  # of the yardstick's curve


@dataclass(frozen=True, eq=False)
class TextReference:
    """A ladder's losses on a set of documents.

    Attributes
    ----------
    name : what ladder on what text, for people. frame : one row a size, seed and budget with the column `metric`, in
        bits per byte. reference_tokens : nominal budget.
    texts : the documents. document_nats : nats of each under each size (seeds, documents), None if unknown.
    noise : scatter to use instead of the rows' own. notes : what to know of it.
    """

    name: str
    frame: pd.DataFrame
    metric: str
    reference_tokens: float
    texts: Sequence[str]
    document_nats: Mapping[Hashable, np.ndarray] | None = None
    noise: Noise | None = None
    notes: tuple[str, ...] = ()

    def fit(self, *, draws: int = 2000, seed: int = 0) -> FittedReference | None:
        """The yardstick fitted to the rows; None where the nominal budget has fewer than four sizes."""
        at = self.frame["tokens"] == self.reference_tokens
        if self.frame.loc[at, "size"].nunique() < LEAST_SIZES:
            return None
        return fit_reference(
            self.frame,
            self.metric,
            reference_tokens=self.reference_tokens,
            noise=self.noise,
            draws=draws,
            seed=seed,
        )


def recorded_reference(texts: Sequence[str] | None = None) -> TextReference:
    """The reference family on the book's val_b, or on other texts.

    On other texts the committed checkpoints of the nominal budget are evaluated; the scatter is that of the recorded
    family, and without other budgets there are no controls.

    Parameters
    ----------
    texts : documents; None: val_b.

    Raises
    ------
    InputError : the family is not recorded, or too few of its checkpoints are there.
    """
    frame = load_reference_runs()
    if texts is None:
        texts = [document.text for document in documents("val_b")]
        items = load_reference_items(texts=True)
        items = items[items["tokens"] == REFERENCE_TOKENS]
        nats = {
            size: -np.stack([run["log_p"].to_numpy(float) for _, run in rows.groupby("seed")])
            for size, rows in items.groupby("size")
        }
        return TextReference(
            "the reference family on val_b", frame, RECORDED_METRIC, REFERENCE_TOKENS, texts, nats
        )
    kept = [
        (size, REFERENCE_TOKENS, seed)
        for size in SIZES
        for seed in SEEDS
        if checkpoint_path(size, REFERENCE_TOKENS, seed, TOKENIZER, "branch").is_file()
    ]
    if len({size for size, _, _ in kept}) < LEAST_SIZES:
        raise InputError(
            "text: the reference family's checkpoints are not here; leave it out, or give a ladder of your own"
        )
    members = ((key, open_checkpoint(key[0], tokens=key[1], seed=key[2])) for key in kept)
    losses = {key: text_losses(member.model, member.tokenizer, texts) for key, member in members}
    noise = fit_reference(frame, RECORDED_METRIC, draws=100).noise
    notes = ("the family's scatter is that on val_b",)
    return _measured(
        "the reference family on your text", losses, REFERENCE_TOKENS, texts, noise=noise, notes=notes
    )


def ladder_reference(
    ladder: Ladder | str | Path, texts: Sequence[str] | None = None, *, reference_tokens: float | None = None
) -> TextReference:
    """A ladder of your own on its validation texts, or on other texts.

    Parameters
    ----------
    ladder : as `load_ladder` reads it, or its folder.
    texts : documents that every checkpoint of the ladder is evaluated on; None: those it keeps apart.
    reference_tokens : nominal budget; None: the largest one that all sizes have.

    Raises
    ------
    InputError : no ladder, or a budget that it lacks (lists those that it has).
    """
    ladder = ladder if isinstance(ladder, Ladder) else load_ladder(ladder)
    frame = ladder.frame
    sizes = frame.groupby("tokens")["size"].nunique()
    nominal = sizes[sizes == sizes.max()].index.max() if reference_tokens is None else reference_tokens
    check_choice("reference_tokens", int(nominal), sorted(int(value) for value in sizes.index))
    keys = [tuple(row) for row in frame[["size", "tokens", "seed"]].itertuples(index=False)]
    if texts is not None:
        losses = {
            key: text_losses(open_checkpoint(ladder.checkpoint(*key)).model, ladder.tokenizer, texts)
            for key in keys
        }
        return _measured(f"{ladder.folder} on your text", losses, int(nominal), texts)
    nats = _by_size({key: ladder.document_nats[key] for key in keys}, int(nominal))
    name = f"{ladder.folder} on its validation texts"
    return TextReference(name, frame, METRIC, int(nominal), ladder.validation, nats)


def _measured(
    name: str,
    losses: Mapping[tuple[str, int, int], TextLosses],
    nominal: int,
    texts: Sequence[str],
    **options: Any,
) -> TextReference:
    rows = [
        {
            "size": size,
            "n_parameters": SIZES[size].n_parameters,
            "tokens": tokens,
            "seed": seed,
            METRIC: one.bits_per_byte,
        }
        for (size, tokens, seed), one in losses.items()
    ]
    nats = _by_size({key: one.document_nats for key, one in losses.items()}, nominal)
    return TextReference(name, pd.DataFrame(rows), METRIC, nominal, texts, nats, **options)


def _by_size(nats: Mapping[tuple[str, int, int], np.ndarray], nominal: int) -> dict[Hashable, np.ndarray]:
    """Nats of the documents by size, one row a seed, at the nominal budget or else the size's largest."""
    found = {}
    for size in {key[0] for key in nats}:
        budgets = {tokens for name, tokens, _ in nats if name == size}
        at = nominal if nominal in budgets else max(budgets)
        found[size] = np.stack([values for key, values in nats.items() if key[:2] == (size, at)])
    return found


@dataclass(frozen=True, eq=False)
class MeasuredDensity:
    """A density with what it was read from.

    Attributes
    ----------
    density : as `capacity_density` gives it. losses : of the model on the texts.
    reference : the ladder. notes : all that should be known before the number is quoted. name : of the model.
    """

    density: Density
    losses: TextLosses
    reference: TextReference
    notes: tuple[str, ...]
    name: str = ""


def evaluate_density(model: "nn.Module", tokenizer: Any, **options: Any) -> Density:
    """Capacity density of a model by its loss on texts.

    Parameters
    ----------
    model, tokenizer, options : as `measure_density`.

    Raises
    ------
    InputError : as `measure_density`.
    """
    return measure_density(model, tokenizer, **options).density


def measure_density(
    model: "nn.Module",
    tokenizer: Any,
    *,
    reference: TextReference | None = None,
    n_parameters: float | None = None,
    tokens: float | None = None,
    window: int | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
    device: str = "cpu",
) -> MeasuredDensity:
    """Read a model's loss on a ladder's texts, and its density off the ladder.

    Parameters
    ----------
    model : has ``token_losses(windows)``, nats, and ``config``: a `Decoder` or a `HuggingFaceDecoder`.
    tokenizer : its own.
    reference : the ladder; None: the reference family on val_b.
    n_parameters : size to divide by; None: ``model.config.n_parameters``, without embeddings as in the ladder. For a
        mixture give active or total parameters, and say which.
    tokens : of the model's training; None: unknown, and then the two controls are nan.
    window : as `text_losses`.
    level, draws, seed : as `capacity_density`.
    device : where the model is.

    Returns
    -------
    `MeasuredDensity`. Evaluation documents are resampled for model and ladder alike where their losses are known.

    Raises
    ------
    InputError : bad values, texts below 10 kB, or a ladder that no density can be read off (says why).
    """
    check_range("draws", draws, 100, 20_000, integer=True)
    if tokens is not None:
        check_range("tokens", tokens, 0, open_low=True)
    size = model.config.n_parameters if n_parameters is None else n_parameters
    check_range("n_parameters", size, 0, open_low=True)
    reference = recorded_reference() if reference is None else reference
    if tokens is not None and round(tokens / BATCH_TOKENS) == round(
        reference.reference_tokens / BATCH_TOKENS
    ):
        tokens = reference.reference_tokens  # a budget is trained in whole batches
    fitted = reference.fit(draws=draws, seed=seed)
    rows = read_reference(reference.frame, reference.metric)
    if fitted is None:
        fit_power_line(rows)  # refuses a ladder that has none before the model is read
    losses = text_losses(model, tokenizer, reference.texts, window=window, device=device)
    loss = losses.bits_per_byte
    options = {"level": level, "draws": draws, "seed": seed}
    if fitted is None:
        nominal = reference.reference_tokens
        density = power_density(rows, loss, size, reference_tokens=nominal, tokens=tokens, **options)
    else:
        has_law = tokens is not None and fitted.law is not None
        density = capacity_density(
            loss,
            size,
            tokens=tokens if has_law else None,
            reference=fitted,
            controls=has_law,
            level=level,
            **_documents(losses, reference),
        )
    return MeasuredDensity(
        density, losses, reference, tuple(_notes(density, losses, reference, fitted, tokens))
    )


def _documents(losses: TextLosses, reference: TextReference) -> dict[str, Any]:
    if reference.document_nats is None or len(losses.kept) < 2:
        return {}
    return {
        "document_nats": losses.document_nats,
        "reference_document_nats": {
            size: np.atleast_2d(nats)[:, losses.kept] for size, nats in reference.document_nats.items()
        },
        "document_bytes": losses.text_bytes,
    }


def _notes(
    density: Density,
    losses: TextLosses,
    reference: TextReference,
    fitted: FittedReference | None,
    tokens: float | None,
):
    yield from density.notes
    yield from reference.notes
    if math.isnan(density.rho):
        yield "no density: the ladder's loss does not fall with size"
    elif math.isnan(density.lower) and fitted is not None:
        yield "interval unknown: within its scatter the ladder's loss may not fall with size at all"
    if tokens is None:
        yield "controls unknown: give the number of tokens that the model was trained on"
    elif fitted is not None and fitted.law is None:
        yield f"controls unknown: the ladder has {len(fitted.rows.budgets)} budgets, a law needs three"
    if losses.lossless < 1:
        share = 100 * (1 - losses.lossless)
        yield f"tokenizer: {share:.1f} % of the text is in documents it does not give back, so the loss is too low"
    if not losses.start:
        yield "tokenizer without a mark of the beginning: the first token of a document is given and not counted"
    if not losses.end:
        yield "tokenizer without a mark of the end: where a document ends is not predicted, as the ladder does"
    if len(losses.kept) < 2:
        yield "one document: the interval does not hold the choice of the text"
