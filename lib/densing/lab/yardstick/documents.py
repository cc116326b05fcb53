"""Resampled evaluation documents, the same for the variant and for every size of the family."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.errors import InputError
from densing.fitters.bootstrap import cluster_weights


@dataclass(frozen=True, eq=False)
class DocumentDraws:
    """How resampling the documents moves log losses.

    Attributes
    ----------
    variant : shift of the variant's log loss (B,). family : shift of each size's log loss by label, (B,) each.
    """

    variant: NDArray
    family: dict[Hashable, NDArray]

    def on_sizes(self, size: NDArray) -> NDArray:
        """Shifts (B, n) of runs of the given sizes."""
        for label in np.unique(size).tolist():
            if label not in self.family:
                raise InputError(
                    f"reference_document_nats: lacks size {label!r}; has {', '.join(map(str, self.family))}"
                )
        return np.stack([self.family[label] for label in size.tolist()], axis=1)


def draw_documents(
    variant: ArrayLike,
    family: Mapping[Hashable, ArrayLike],
    document_bytes: ArrayLike,
    draws: int,
    seed: int,
) -> DocumentDraws:
    """Draw documents with replacement, B times, and compare each drawn loss with the loss on all documents.

    Parameters
    ----------
    variant : nats of each document under the variant (documents,), or one row a seed.
    family : the same by size of the family.
    document_bytes : UTF-8 bytes of each document (documents,).

    Raises
    ------
    InputError : arrays of different lengths, or numbers that are not finite and positive.
    """
    length = _numbers("document_bytes", document_bytes)
    weights = cluster_weights(np.arange(len(length)), draws, seed).astype(float)
    total = weights @ length

    def shift(name: str, nats: ArrayLike) -> NDArray:
        nats = _numbers(name, nats)
        if len(nats) != len(length):
            raise InputError(f"{name}: has {len(nats)} documents, document_bytes has {len(length)}")
        return np.log(weights @ nats / total) - np.log(nats.sum() / length.sum())

    sizes = {label: shift(f"reference_document_nats[{label!r}]", nats) for label, nats in family.items()}
    return DocumentDraws(shift("document_nats", variant), sizes)


def _numbers(name: str, values: ArrayLike) -> NDArray:
    values = np.asarray(values, float)
    values = values.mean(axis=0) if values.ndim == 2 else values
    if values.ndim != 1 or len(values) < 2 or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"{name}: must hold a positive finite number for each of at least 2 documents")
    return values
