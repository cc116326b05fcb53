"""Documents into training windows of one length, in a seeded order."""

import numpy as np

from densing.checks import check_flag, check_range
from densing.errors import InputError


def pack(
    ids: np.ndarray,
    offsets: np.ndarray,
    length: int,
    *,
    cross_documents: bool = True,
    limit: int | None = None,
    seed: int = 0,
) -> np.ndarray:
    """Windows of `length` + 1 tokens: the first `length` are inputs, the last `length` their targets.

    Documents are shuffled by `seed` and laid end to end; neighbouring windows share one token, so every
    token but the first is a target exactly once. The order depends on the seed and the number of documents
    alone, so models with different tokenizers see the same documents in the same order.

    Parameters
    ----------
    ids, offsets : documents as `encode_documents` returns them.
    length : tokens predicted in a window.
    cross_documents : let a window run on into the next document; otherwise the rest of a document that does
        not fill a window is dropped.
    limit : at most this many windows.

    Returns
    -------
    (n_windows, length + 1), the type of `ids`.

    Raises
    ------
    InputError : bad values, or fewer tokens than one window.
    """
    check_range("length", length, 1, integer=True)
    check_flag("cross_documents", cross_documents)
    check_range("seed", seed, 0, integer=True)
    if limit is not None:
        check_range("limit", limit, 1, integer=True)
    order = np.random.default_rng(seed).permutation(len(offsets) - 1)
    needed = None if limit is None else limit * length + 1
    windows: list[np.ndarray] = []
    stream: list[np.ndarray] = []
    total = 0
    for document in order:
        tokens = np.asarray(ids[offsets[document] : offsets[document + 1]])
        if cross_documents:
            stream.append(tokens)
            total += len(tokens)
        elif len(tokens) > length:
            windows.append(_windows(tokens, length))
            total += len(windows[-1]) * length
        if needed is not None and total >= needed:
            break
    if cross_documents and total > length:
        windows = [_windows(np.concatenate(stream), length)]
    if not windows:
        raise InputError(f"ids: {len(ids)} tokens in these documents do not fill one window of {length} + 1")
    return np.concatenate(windows)[:limit]


def _windows(tokens: np.ndarray, length: int) -> np.ndarray:
    count = (len(tokens) - 1) // length
    return np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[: count * length : length].copy()


def pack_mixed(
    text: tuple[np.ndarray, np.ndarray],
    other: tuple[np.ndarray, np.ndarray],
    share: float,
    length: int,
    *,
    limit: int,
    seed: int = 0,
) -> np.ndarray:
    """Windows of text mixed with a second stream: `share` of the tokens, all along, come from `other`.

    Documents of `text` are shuffled by `seed`, those of `other` keep their order; each is laid down when its
    stream lags behind its share, so every prefix holds the mixture to within a document.

    Parameters
    ----------
    text, other : (ids, offsets) as `encode_documents` returns them.
    share : of `other` in the tokens, [0, 1).
    length : tokens predicted in a window.
    limit : windows, >= 1.

    Returns
    -------
    (limit, length + 1), the type of the text's ids.

    Raises
    ------
    InputError : bad values, or a stream with too few tokens (says how many windows it supports).
    """
    check_range("share", share, 0, 1, open_high=True)
    check_range("length", length, 1, integer=True)
    check_range("limit", limit, 1, integer=True)
    check_range("seed", seed, 0, integer=True)
    order = np.random.default_rng(seed).permutation(len(text[1]) - 1)
    needed = limit * length + 1
    pieces: list[np.ndarray] = []
    total = laid = taken = placed = 0
    while total < needed:
        if laid < share * total:
            source, document, name = other, taken, "other"
            taken += 1
        else:
            source, document, name = text, placed, "text"
            placed += 1
        if document >= len(source[1]) - 1:
            raise InputError(
                f"limit = {limit}: the stream `{name}` ends after {max(total - 1, 0) // length} windows"
            )
        if name == "text":
            document = order[document]
        piece = np.asarray(source[0][source[1][document] : source[1][document + 1]])
        pieces.append(piece)
        total += len(piece)
        laid += len(piece) if name == "other" else 0
    return _windows(np.concatenate(pieces).astype(text[0].dtype), length)[:limit]
