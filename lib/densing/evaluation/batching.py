"""Token losses of many rows of different lengths: sorted, padded, a forward pass a batch."""

from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from densing.checks import check_range
from densing.errors import InputError

if TYPE_CHECKING:
    from torch import nn


def context_length(model: "nn.Module") -> int | None:
    """Longest sequence that `model` reads, in tokens; None where it does not say (``model.config.context``)."""
    return getattr(getattr(model, "config", None), "context", None)


def row_losses(
    model: "nn.Module",
    rows: Sequence[np.ndarray],
    *,
    batch_tokens: int = 8_192,
    device: str = "cpu",
) -> list[np.ndarray]:
    """Negative log-likelihoods of every row's tokens but the first, which is given.

    Rows that are equal are read once. Padding follows a row, so a causal model never sees it.

    Parameters
    ----------
    model : has ``token_losses(windows)``, nats.
    rows : token ids, each (length + 1,) with length at least 1.
    batch_tokens : tokens a forward pass, padding included; a longer row is a batch of its own.
    device : where the model is.

    Returns
    -------
    one (length,) float64 array a row, nats, in the order of `rows`.

    Raises
    ------
    InputError : a row without a token to predict, or longer than the model's context.
    """
    import torch

    check_range("batch_tokens", batch_tokens, 1, integer=True)
    rows = [np.asarray(row, dtype=np.int64) for row in rows]
    context = context_length(model)
    for i, row in enumerate(rows):
        if row.ndim != 1 or len(row) < 2:
            raise InputError(
                f"rows: row {i} has shape {row.shape}, must be one-dimensional with 2 or more tokens"
            )
        if context is not None and len(row) > context + 1:
            raise InputError(
                f"rows: row {i} has {len(row)} tokens, the model reads {context} and predicts one more"
            )
    places: dict[bytes, list[int]] = {}
    for i, row in enumerate(rows):
        places.setdefault(row.tobytes(), []).append(i)
    distinct = [same[0] for same in places.values()]
    order = sorted(distinct, key=lambda i: (len(rows[i]), i))
    losses = [np.zeros(0)] * len(rows)
    with evaluating(model):
        while order:
            longest = len(rows[order[-1]])
            chosen = order[-max(1, batch_tokens // longest) :]
            del order[-len(chosen) :]
            batch = np.zeros((len(chosen), longest), np.int64)
            for k, i in enumerate(chosen):
                batch[k, : len(rows[i])] = rows[i]
            values = model.token_losses(torch.from_numpy(batch).to(device)).double().cpu().numpy()
            for k, i in enumerate(chosen):
                losses[i] = values[k, : len(rows[i]) - 1]
    for first, *others in places.values():
        for i in others:
            losses[i] = losses[first]
    return losses


@contextmanager
def evaluating(model: "nn.Module"):
    """Without gradients and dropout inside the block; the model's mode is as before afterwards."""
    import torch

    was_training = getattr(model, "training", False)
    if was_training:
        model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        if was_training:
            model.train()
