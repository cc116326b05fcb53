"""Density of a model that lies in files, on the book's text or a reader's own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.checks import check_device
from densing.data.text_files import read_texts
from densing.errors import InputError
from densing.evaluation.text_loss import check_texts
from densing.lab.own_family.checkpoints import open_checkpoint
from densing.lab.own_family.ladder import load_ladder
from densing.lab.own_family.text_density import (
    MeasuredDensity,
    TextReference,
    ladder_reference,
    measure_density,
    recorded_reference,
)
from densing.models.export import read_about
from densing.models.hugging_face import HuggingFaceDecoder, check_folder

if TYPE_CHECKING:
    from torch import nn

MAX_BYTES = 1_000_000  # of text that is read


def density_of_files(
    model: str | Path,
    *,
    text: str | Path | None = None,
    reference: str | Path | None = None,
    reference_tokens: float | None = None,
    tokens: float | None = None,
    device: str = "cpu",
    **options: Any,
) -> MeasuredDensity:
    """Capacity density of a model in files against a recorded ladder.

    All that can be checked without loading the model is checked first, and the model before the ladder is evaluated.

    Parameters
    ----------
    model : folder of a causal model of the transformers library, or a checkpoint of the book's decoder.
    text : file or folder, as `read_texts`; of more than 1 MB the first part is read. None: the ladder's own texts.
    reference : folder of a ladder of your own; None: the reference family.
    reference_tokens : nominal budget of that ladder; None: the largest that all its sizes have.
    tokens : of the model's training; None: as the export says, else unknown.
    device : where the model runs.
    options : n_parameters, window, level, draws, seed, as `measure_density`.

    Raises
    ------
    InputError : a model, text or ladder that cannot be read (says why), and as `measure_density`.
    """
    texts, notes = (None, []) if text is None else _first(read_texts(text))
    if texts is not None:
        check_texts(texts)
    check_device(device)
    ladder = None if reference is None else load_ladder(reference)
    if ladder is None and reference_tokens is not None:
        raise InputError(
            "budget: the reference family's is fixed; leave it out, or give a ladder of your own"
        )
    if not Path(model).is_file():
        check_folder(Path(model))

    def compared() -> TextReference:
        if ladder is None:
            return recorded_reference(texts)
        return ladder_reference(ladder, texts, reference_tokens=reference_tokens)

    recorded = compared() if texts is None else None  # nothing is evaluated for it
    decoder, tokenizer, about, name = _open(Path(model), device)
    known = about.get("tokens")
    found = measure_density(
        decoder,
        tokenizer,
        reference=recorded or compared(),
        tokens=known if tokens is None else tokens,
        device=device,
        **options,
    )
    if not about:
        notes.append(
            f"other recipe ({decoder.config.architecture}, context {decoder.config.context:,}): what its training text "
            "did is part of the density"
        )
        if ladder is None and texts is None:
            notes.append("val_b is public documentation, which a model trained on the web may have read")
    return replace(found, name=name, notes=(*found.notes, *notes))


def _open(path: Path, device: str) -> tuple["nn.Module", Any, dict[str, Any], str]:
    if path.is_file():
        found = open_checkpoint(path)
        return found.model.to(device), found.tokenizer, found.about, path.name
    decoder = HuggingFaceDecoder.from_folder(path, device=device)
    return decoder, decoder.tokenizer, read_about(path), f"{path} ({decoder.config.architecture})"


def _first(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Documents up to 1 MB in all, and a note if that is not all of them."""
    kept, room = [], MAX_BYTES
    for text in texts:
        if room <= 0:
            break
        part = text.encode()[:room].decode(errors="ignore")
        room -= len(text.encode())
        if part:
            kept.append(part)
    return kept, [] if kept == list(texts) else [f"the first {MAX_BYTES:,} bytes of the text are measured on"]
