"""Loss on whole texts in bits per UTF-8 byte, under any tokenizer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from densing.checks import check_range
from densing.data.tokenizers import DOCUMENT
from densing.errors import InputError
from densing.evaluation.batching import context_length, row_losses

if TYPE_CHECKING:
    from torch import nn

LEAST_BYTES = 10_000
LEAST_WINDOW = 64
LARGEST_WINDOW = 2_048


@dataclass(frozen=True, eq=False)
class TextLosses:
    """Losses of a model on documents, each read from its start.

    Attributes
    ----------
    nats : of each document (documents,), the end of the document included. end_nats : of those ends alone.
    bytes : UTF-8 bytes whose tokens were predicted (documents,): all, or all but those of the first token.
    text_bytes : UTF-8 bytes of each document (documents,). kept : places of these documents among the texts: one whose
        only token was given is left out. tokens : predicted, in all.
    start : text of the token that stands before every document, "" where the tokenizer has none: then the first token
        of a document is given and neither its nats nor its bytes count.
    end : text of the token that ends a document, whose nats count and whose bytes do not; "" where there is none.
    lossless : share of the bytes in documents that the tokenizer gives back as they were. Below 1 the loss is that of
        another, easier text.
    window : tokens of the windows that a longer document is cut into.
    """

    nats: NDArray
    end_nats: NDArray
    bytes: NDArray
    text_bytes: NDArray
    kept: NDArray
    tokens: int
    start: str
    end: str
    lossless: float
    window: int

    @property
    def bits_per_byte(self) -> float:
        """Mean loss in bits per UTF-8 byte, ends of documents included."""
        return float(self.nats.sum() / (math.log(2) * self.bytes.sum()))

    @property
    def bits_per_byte_without_end(self) -> float:
        """The same without predicting where documents end."""
        return float((self.nats - self.end_nats).sum() / (math.log(2) * self.bytes.sum()))

    @property
    def document_nats(self) -> NDArray:
        """Nats of each whole document: a first token that was given counts at its document's mean rate."""
        return self.nats * self.text_bytes / self.bytes


def text_bits_per_byte(model: "nn.Module", tokenizer: Any, texts: Sequence[str], **options: Any) -> float:
    """Loss of a model on texts, in bits per UTF-8 byte: comparable across tokenizers.

    Parameters
    ----------
    model, tokenizer, texts, options : as `text_losses`.

    Raises
    ------
    InputError : as `text_losses`.
    """
    return text_losses(model, tokenizer, texts, **options).bits_per_byte


def text_losses(
    model: "nn.Module",
    tokenizer: Any,
    texts: Sequence[str],
    *,
    window: int | None = None,
    batch_tokens: int = 8_192,
    device: str = "cpu",
) -> TextLosses:
    """Losses of a model on documents, each read from its start in windows without overlap.

    Every document stands after the tokenizer's mark of a beginning and before its mark of an end, where it has them
    (``<doc>`` is both in the book's tokenizers). Without the former nothing is assumed to stand before a text: its
    first token is given.

    Parameters
    ----------
    model : has ``token_losses(windows)``, nats: a `Decoder` or a `HuggingFaceDecoder`.
    tokenizer : one of the book's, or of the transformers library.
    texts : documents, 10,000 bytes of UTF-8 or more in all.
    window : tokens, at least 64 and at most the model's context; None: the context, 2,048 at most.
    batch_tokens : tokens a forward pass.
    device : where the model is.

    Raises
    ------
    InputError : a text that is empty or too short, a context or window below 64 tokens, a tokenizer whose ids the model
        does not have, or a loss that is not finite.
    """
    sizes = check_texts(texts)
    window = _checked_window(model, window)
    reader = _Reader(tokenizer)
    ids = [reader.encode(text) for text in texts]
    known = getattr(getattr(model, "config", None), "vocab_size", None)
    largest = max(int(tokens.max(initial=0)) for tokens in (*ids, reader.start, reader.end))
    if known is not None and largest >= known:
        raise InputError(
            f"tokenizer: gives the id {largest}, the model has {known} entries; is it another model's?"
        )
    exact = np.array([reader.gives_back(text, tokens) for text, tokens in zip(texts, ids, strict=True)])
    counted = sizes
    if not len(reader.start):
        given = [reader.first_bytes(text, tokens) for text, tokens in zip(texts, ids, strict=True)]
        counted = sizes - np.array(given)
    rows, bounds, kept = [], [0], []
    for at, tokens in enumerate(ids):
        document = np.concatenate([reader.start, tokens, reader.end])
        if counted[at] > 0 and len(document) > 1:
            kept.append(at)
            rows += [document[first : first + window + 1] for first in range(0, len(document) - 1, window)]
            bounds.append(bounds[-1] + len(document) - 1)
    losses = np.concatenate(row_losses(model, rows, batch_tokens=batch_tokens, device=device))
    if not np.isfinite(losses).all():
        raise InputError("model: its loss on the text is not finite")
    return TextLosses(
        nats=np.add.reduceat(losses, bounds[:-1]),
        end_nats=losses[np.array(bounds[1:]) - 1] if len(reader.end) else np.zeros(len(kept)),
        bytes=counted[kept],
        text_bytes=sizes[kept],
        kept=np.array(kept),
        tokens=bounds[-1],
        start=reader.start_text,
        end=reader.end_text,
        lossless=float((exact * sizes).sum() / sizes.sum()),
        window=window,
    )


class _Reader:
    """Both kinds of tokenizers: ids, text of ids, and the marks before and after a document, one token each or none."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.own = hasattr(tokenizer, "token_to_id")
        if self.own:
            marks = [(DOCUMENT, tokenizer.token_to_id(DOCUMENT))] * 2
            if marks[0][1] is None:
                raise InputError(f"tokenizer: must have the special token {DOCUMENT}")
        else:
            marks = [
                (tokenizer.bos_token, tokenizer.bos_token_id),
                (tokenizer.eos_token, tokenizer.eos_token_id),
            ]
        self.start_text, self.end_text = ("" if mark is None else str(name) for name, mark in marks)
        self.start, self.end = (np.array([] if mark is None else [mark], np.int64) for _, mark in marks)

    def encode(self, text: str) -> NDArray:
        if self.own:
            ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        else:
            ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return np.asarray(ids, np.int64)

    def decode(self, ids: NDArray) -> str:
        options = {} if self.own else {"clean_up_tokenization_spaces": False}
        return self.tokenizer.decode(ids.tolist(), skip_special_tokens=False, **options)

    def gives_back(self, text: str, ids: NDArray) -> bool:
        """Whether the ids are the text; a blank in front may be the tokenizer's own."""
        back = self.decode(ids)
        return back in (text, f" {text}") or f" {back}" == text

    def first_bytes(self, text: str, ids: NDArray) -> int:
        """Bytes that the first token stands for; a character that it only begins is counted to it."""
        rest = self.decode(ids[1:]).lstrip("\ufffd") if len(ids) else text
        return len(text.encode()) - len(rest.encode()) if text.endswith(rest) else 0


def check_texts(texts: Sequence[str]) -> NDArray:
    """UTF-8 bytes of each of `texts` (documents,); refuses texts too short to tell a loss by.

    Raises
    ------
    InputError : no documents, an empty one, or less than 10,000 bytes in all.
    """
    if isinstance(texts, str) or not len(texts) or not all(isinstance(text, str) and text for text in texts):
        raise InputError("texts: must be one or more documents, none of them empty")
    try:
        sizes = np.array([len(text.encode()) for text in texts])
    except UnicodeEncodeError as error:
        raise InputError(f"texts: must be text that UTF-8 can carry ({error.reason})") from None
    if sizes.sum() < LEAST_BYTES:
        raise InputError(f"text: has {sizes.sum():,} bytes, must be at least {LEAST_BYTES:,}")
    return sizes


def _checked_window(model: "nn.Module", window: int | None) -> int:
    context = context_length(model)
    if context is not None and context < LEAST_WINDOW:
        raise InputError(f"context = {context}: the model must read at least {LEAST_WINDOW} tokens")
    largest = LARGEST_WINDOW if context is None else context
    if window is None:
        return min(largest, LARGEST_WINDOW)
    check_range("window", window, LEAST_WINDOW, largest, integer=True)
    return int(window)
