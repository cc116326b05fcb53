"""The book's decoder and tokenizer as a folder that the transformers library loads."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from densing.data.tokenizers import ANSWER, DOCUMENT, END, PADDING, tokenizer_digest
from densing.errors import InputError
from densing.models.decoder import Decoder
from densing.models.hugging_face import quiet_transformers

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

ABOUT = "densing.json"


def export_decoder(
    model: Decoder, tokenizer: "Tokenizer", folder: str | Path, about: dict[str, Any] | None = None
) -> Path:
    """Write a model with its tokenizer for `AutoModelForCausalLM` and `AutoTokenizer`, weights in float32.

    A document starts and ends with ``<doc>``, so that is both first and last token of a text; generation also stops
    at the ``<end>`` of an answer.

    Parameters
    ----------
    model : written as a `LlamaForCausalLM`, the same function.
    tokenizer : one of the book's, of as many entries as the model.
    folder : new, empty, or an earlier export, which is replaced.
    about : what made the model; written to ``densing.json`` with the tokenizer's identity.

    Returns
    -------
    The folder.

    Raises
    ------
    InputError : a tokenizer of another size than the model's vocabulary, or without the special tokens; a folder that
        holds other files, or that cannot be written.
    """
    folder = Path(folder)
    entries = tokenizer.get_vocab_size()
    if entries != model.config.vocab_size:
        raise InputError(f"tokenizer: has {entries} entries, the model {model.config.vocab_size}")
    _check_folder(folder)
    llama = model.to_llama()
    ids = {name: tokenizer.token_to_id(name) for name in (DOCUMENT, PADDING, END)}
    special = {"bos_token_id": ids[DOCUMENT], "eos_token_id": ids[DOCUMENT], "pad_token_id": ids[PADDING]}
    llama.config.update(special)
    llama.generation_config.update(**special | {"eos_token_id": [ids[DOCUMENT], ids[END]]})
    known = {
        "vocab_size": entries,
        "n_parameters": model.config.n_parameters,
        "tokenizer_sha256": tokenizer_digest(tokenizer),
    }
    wrapped = transformers_tokenizer(tokenizer, model.config.context)
    try:
        with quiet_transformers():
            llama.save_pretrained(folder)
            wrapped.save_pretrained(folder)
        text = json.dumps({**(about or {}), **known}, indent=1, sort_keys=True)
        (folder / ABOUT).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"folder = {str(folder)!r}: cannot be written ({error.strerror or error})") from None
    return folder


def transformers_tokenizer(tokenizer: "Tokenizer", context: int) -> "PreTrainedTokenizerFast":
    """A tokenizer of the book as a `PreTrainedTokenizerFast` that puts ``<doc>`` before a text.

    Parameters
    ----------
    tokenizer : left as it is.
    context : longest sequence, in tokens.

    Raises
    ------
    InputError : a tokenizer without the book's special tokens (names the first one that lacks).
    """
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    for name in (DOCUMENT, PADDING, ANSWER, END):
        if tokenizer.token_to_id(name) is None:
            raise InputError(f"tokenizer: must have the special token {name}")
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.post_processor = TemplateProcessing(
        single=f"{DOCUMENT} $A",
        pair=f"{DOCUMENT} $A {DOCUMENT} $B",
        special_tokens=[(DOCUMENT, copy.token_to_id(DOCUMENT))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=copy,
        bos_token=DOCUMENT,
        eos_token=DOCUMENT,
        pad_token=PADDING,
        additional_special_tokens=[ANSWER, END],
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def read_about(folder: str | Path) -> dict[str, Any]:
    """What `export_decoder` wrote of a model in `folder`; empty for any other model."""
    try:
        content = json.loads((Path(folder) / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"folder = {str(folder)!r}: is a file; must be a folder")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / ABOUT).is_file():
        raise InputError(
            f"folder = {str(folder)!r}: holds other files; must be new, empty or an earlier export"
        )
