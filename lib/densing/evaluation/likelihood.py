"""Losses of language models in units that can be compared."""

import math
import warnings
from typing import TYPE_CHECKING

import numpy as np

from densing.checks import check_range
from densing.errors import InputError
from densing.evaluation.batching import row_losses

if TYPE_CHECKING:
    from torch import nn


def bits_per_character(nll_sum_nats: float, n_characters: float) -> float:
    """Sum of negative log-likelihoods in nats as bits per character: comparable across tokenizers.

    Raises
    ------
    InputError : a sum that is not finite, or no characters.
    """
    check_range("nll_sum_nats", nll_sum_nats)
    check_range("n_characters", n_characters, 0, open_low=True)
    return float(nll_sum_nats) / (math.log(2) * n_characters)


def unigram_normalized_loss(nll: np.ndarray, token_ids: np.ndarray, unigram: np.ndarray) -> float:
    """Loss relative to a unigram model, L_u = -mean ln[p(w_i | context, V) / p(w_i | V)], nats a token.

    Equal to the cross-entropy minus the unigram cross-entropy: negative for a model that uses its context.
    It corrects for the vocabulary size, it is not free of it.

    Parameters
    ----------
    nll : (n,) negative log-likelihoods of the tokens, nats.
    token_ids : (n,) the tokens.
    unigram : (vocab_size,) ln p(w | V), as `TokenCounts.unigram_logprob`.

    Raises
    ------
    InputError : shapes that differ, or a token that the frequency table lacks.

    References
    ----------
    Tao et al. (2024), Scaling laws with vocabulary, section 2.
    """
    nll, token_ids, unigram = (
        np.asarray(nll, float).ravel(),
        np.asarray(token_ids).ravel(),
        np.asarray(unigram, float),
    )
    if nll.shape != token_ids.shape or not nll.size:
        raise InputError(
            f"nll: {nll.size} values for {token_ids.size} token_ids, must be as many and at least one"
        )
    if token_ids.min() < 0 or token_ids.max() >= len(unigram):
        raise InputError(
            f"token_ids: token {token_ids.max()}, the frequency table `unigram` has {len(unigram)} entries"
        )
    value = float(np.mean(nll + unigram[token_ids]))
    if value > 0:
        warnings.warn(
            f"unigram-normalised loss {value:.3f} > 0: the model is worse than a unigram model", stacklevel=2
        )
    return value


def document_losses(
    model: "nn.Module",
    ids: np.ndarray,
    offsets: np.ndarray,
    *,
    length: int,
    marker: int,
    batch_tokens: int = 8_192,
    device: str = "cpu",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Negative log-likelihood of every token of every document, each document read from its start.

    A document is cut into windows of `length` tokens without overlap, so no token sees more than `length`
    before it. The end of the document (`marker` again) is predicted too.

    Parameters
    ----------
    model : has ``token_losses(windows)``.
    ids, offsets : documents as `encode_documents` returns them, each starting with `marker`.
    length : window in tokens, at most the model's context.
    batch_tokens : tokens a forward pass.

    Returns
    -------
    nll : (n,) nats, all documents one after the other.
    tokens : (n,) the tokens predicted.
    bounds : (n_documents + 1,) document i is ``nll[bounds[i]:bounds[i + 1]]``.
    """
    check_range("length", length, 1, integer=True)
    rows = []
    for start, stop in zip(offsets[:-1], offsets[1:], strict=True):
        document = np.append(ids[start:stop], marker).astype(np.int64)
        for first in range(0, len(document) - 1, length):
            rows.append(document[first : first + length + 1])
    spans = row_losses(model, rows, batch_tokens=batch_tokens, device=device)
    lengths = np.diff(offsets)  # the marker at the start is given, the one at the end is predicted
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    return np.concatenate(spans), np.concatenate([row[1:] for row in rows]), bounds
