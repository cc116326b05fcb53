"""Checkpoints of the book's decoder by name or by file: with their tokenizer, and exported."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from densing.data.tokenizers import load_tokenizer, tokenizer_digest
from densing.errors import InputError
from densing.lab.reference.recipe import REFERENCE_TOKENS, SIZES, TOKENIZER, family_shape
from densing.lab.reference.store import load_reference
from densing.lab.reference.training import read_tensors
from densing.models.decoder import Decoder
from densing.models.export import export_decoder

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = "tokenizer.json"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A trained decoder with its tokenizer.

    Attributes
    ----------
    model : in evaluation mode. tokenizer : of as many entries.
    about : what is known of its making: size, tokens, seed, tokenizer.
    """

    model: Decoder
    tokenizer: "Tokenizer"
    about: dict[str, Any]


def open_checkpoint(
    name: str | Path,
    *,
    tokens: int = REFERENCE_TOKENS,
    seed: int = 0,
    tokenizer: str | None = None,
    stage: str = "branch",
) -> Checkpoint:
    """A member of the reference family by its size, or any checkpoint of the book's decoder by its file.

    Parameters
    ----------
    name : a size of the family, or a safetensors file: of the family, or of a ladder of your own.
    tokens, seed, stage : which member of the family.
    tokenizer : its name (``bpe-1024``), or a tokenizer.json; by default the family's, that which the file names, or the
        tokenizer.json beside it or one or two folders above.

    Raises
    ------
    InputError : neither a size nor a file; a file that holds no decoder of the family's shapes; no tokenizer, or
        another one than the model was trained with.
    """
    if str(name) in SIZES:
        known = tokenizer or TOKENIZER
        model = load_reference(str(name), tokens, seed, known, stage)
        about = {"size": str(name), "tokens": tokens, "seed": seed, "tokenizer": known, "stage": stage}
        return Checkpoint(model.eval(), load_tokenizer(known), about)
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"checkpoint = {str(name)!r}: must be a safetensors file or one of {', '.join(SIZES)}"
        )
    tensors, metadata = read_tensors(path)
    model, size = _decoder(path, tensors, metadata.get("heads"))
    entries, known = _tokenizer(path, tokenizer or metadata.get("tokenizer"))
    expected = metadata.get("tokenizer_sha256")
    if entries.get_vocab_size() != model.config.vocab_size or expected not in (
        None,
        tokenizer_digest(entries),
    ):
        raise InputError(f"tokenizer = {known!r}: {path.name} was trained with another tokenizer")
    about = {"size": size, "tokenizer": known} | _made_by(path, metadata)
    return Checkpoint(model, entries, about)


def export_checkpoint(name: str | Path, folder: str | Path, **options: Any) -> Path:
    """Write a checkpoint as a folder that the transformers library loads and generates from.

    Parameters
    ----------
    name, options : as `open_checkpoint`.
    folder : as `export_decoder`.

    Raises
    ------
    InputError : as these two.
    """
    found = open_checkpoint(name, **options)
    return export_decoder(found.model, found.tokenizer, folder, found.about)


def _decoder(path: Path, tensors: dict[str, torch.Tensor], heads: str | None) -> tuple[Decoder, str]:
    """The model of a state: width, depth and entries are those of the tensors, what they do not tell the family's."""
    state = {name.removeprefix("model."): value.float() for name, value in tensors.items()}
    embedding = state.get("embedding.weight")
    blocks = {match[1] for name in state if (match := re.match(r"blocks\.(\d+)\.", name))}
    for size, shape in SIZES.items():
        if embedding is not None and embedding.ndim == 2:
            if (shape.width, shape.layers) == (embedding.shape[1], len(blocks)):
                known = {} if heads is None else {"heads": int(heads)}
                model = Decoder(replace(family_shape(size, embedding.shape[0]), **known))
                wanted = model.state_dict()
                state = {name: value for name, value in state.items() if name in wanted}
                try:
                    model.load_state_dict(state)
                except RuntimeError:
                    break
                return model.eval(), size
    raise InputError(f"{path}: holds no decoder of the family's shapes ({', '.join(SIZES)})")


def _tokenizer(path: Path, named: str | None) -> tuple["Tokenizer", str]:
    from tokenizers import Tokenizer

    if named is not None and not named.endswith(".json"):
        return load_tokenizer(named), named
    beside = (
        [Path(named)] if named else [folder / TOKENIZER_FILE for folder in list(path.resolve().parents)[:3]]
    )
    found = next((file for file in beside if file.is_file()), None)
    if found is None:
        where = f"{named}: no such file" if named else f"no {TOKENIZER_FILE} beside {path.name} or above it"
        raise InputError(f"tokenizer: {where}; name it, such as {TOKENIZER}")
    try:
        return Tokenizer.from_file(str(found)), found.name
    except Exception as error:  # the library raises nothing narrower
        raise InputError(
            f"tokenizer = {str(found)!r}: is not a tokenizer ({' '.join(str(error).split())})"
        ) from None


def _made_by(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """Budget and seed of a checkpoint, from where a ladder keeps it, or else from its metadata."""
    about: dict[str, Any] = {}
    names = {"tokens": (r"^branch-(\d+)$", path.stem), "seed": (r"-seed(\d+)$", path.resolve().parent.name)}
    for key, (pattern, text) in names.items():
        named = re.search(pattern, text)
        try:
            about[key] = int(named[1] if named else json.loads(metadata[key]))
        except (KeyError, ValueError, TypeError):
            continue
    return about
