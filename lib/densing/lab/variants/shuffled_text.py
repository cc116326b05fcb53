"""The training text with the sentences of every document in another order: the same tokens, no thread."""

from typing import TYPE_CHECKING

import numpy as np

from densing.data.tokenizers import ANSWER, DOCUMENT
from densing.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_STOPS = (".", "!", "?")


def shuffle_sentences(windows: np.ndarray, tokenizer: "Tokenizer", *, seed: int = 0) -> np.ndarray:
    """Permute the sentences within every document of a packed text.

    A sentence ends with a line (and the empty lines after it), or with a full stop, question or exclamation mark before
    a blank. Documents keep their places and their tokens. Documents of generated skills, which hold an answer mark, and
    the last document, which may be cut, are left as they are.

    Parameters
    ----------
    windows : (n, length + 1) token ids, neighbouring windows sharing one token, as `pack_mixed` returns them.
    tokenizer : of the ids. seed : of the permutations.

    Returns
    -------
    Windows of the same shape and type.

    Raises
    ------
    InputError : windows that do not share a token with the next.
    """
    windows = np.asarray(windows)
    if not (windows[:-1, -1] == windows[1:, 0]).all():
        raise InputError("windows: neighbours must share one token")
    stream = np.append(windows[:, :-1].ravel(), windows[-1, -1])
    marker, answer = tokenizer.token_to_id(DOCUMENT), tokenizer.token_to_id(ANSWER)
    newline, stop, blank = _kinds(tokenizer)
    following = np.append(stream[1:], marker)
    ends = (newline[stream] & ~newline[following]) | (stop[stream] & blank[following] & ~newline[following])
    rng = np.random.default_rng(seed)
    starts = np.flatnonzero(stream == marker)
    for first, last in zip(starts[:-1] + 1, starts[1:], strict=True):
        document = stream[first:last]
        if (document == answer).any():
            continue
        sentences = np.split(document, np.flatnonzero(ends[first : last - 1]) + 1)
        stream[first:last] = np.concatenate([sentences[k] for k in rng.permutation(len(sentences))])
    length = windows.shape[1] - 1
    return np.lib.stride_tricks.sliding_window_view(stream, length + 1)[::length].copy()


def _kinds(tokenizer: "Tokenizer") -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of every entry: is it a line's end, does it end a sentence, does it begin with a blank or a line's end."""
    texts = [tokenizer.decode([k]) for k in range(tokenizer.get_vocab_size())]
    return (
        np.array([text == "\n" for text in texts]),
        np.array([text.endswith(_STOPS) for text in texts]),
        np.array([text[:1].isspace() for text in texts]),
    )
