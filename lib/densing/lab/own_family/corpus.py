"""A reader's own texts as a corpus: distinct documents, some kept apart for validation."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from densing.data.dedup import deduplicate
from densing.data.text_files import read_texts
from densing.errors import InputError

LEAST_BYTES = 1_000_000
VALIDATION_SHARE = 0.05
LARGEST_VALIDATION = 300_000  # bytes, as the family's
LEAST_VALIDATION = 10_000


@dataclass(frozen=True, eq=False)
class OwnCorpus:
    """Documents for training and for validation.

    Attributes
    ----------
    train, validation : distinct documents. repeated : how many were left out because they (nearly) repeat another.
    """

    train: list[str]
    validation: list[str]
    repeated: int

    @property
    def n_bytes(self) -> tuple[int, int]:
        """UTF-8 bytes of training and validation."""
        return sum(map(_size, self.train)), sum(map(_size, self.validation))

    @cached_property
    def digest(self) -> str:
        """Identity of the corpus: SHA-256 of its documents and their split, 12 digits."""
        state = hashlib.sha256()
        for part in (self.train, self.validation):
            for text in part:
                state.update(_key(text))
            state.update(b"|")
        return state.hexdigest()[:12]


def read_corpus(path: str | Path) -> OwnCorpus:
    """Read a folder of texts, drop documents that repeat another (13-gram Jaccard > 0.8), and split by document.

    About 5 % of the bytes, 300 kB at most, are kept apart for validation: the documents that come first in the order of
    the SHA-256 of their text, so neither a file's name nor its place decides.

    Parameters
    ----------
    path : folder or file, as `read_texts`.

    Raises
    ------
    InputError : less than 1 MB of distinct text, or too few documents to keep some apart.
    """
    texts = read_texts(path)
    distinct = [texts[i] for i in deduplicate(texts)]
    total = sum(map(_size, distinct))
    if total < LEAST_BYTES:
        raise InputError(
            f"corpus = {str(path)!r}: has {total:,} bytes of distinct text, must be at least {LEAST_BYTES:,}"
        )
    kept = set(_validation(distinct, total))
    train = [text for i, text in enumerate(distinct) if i not in kept]
    validation = [text for i, text in enumerate(distinct) if i in kept]
    found = OwnCorpus(train, validation, len(texts) - len(distinct))
    if found.n_bytes[1] < LEAST_VALIDATION or found.n_bytes[0] < total / 2:
        raise InputError(
            f"corpus = {str(path)!r}: {len(distinct)} documents are too few to keep {LEAST_VALIDATION:,} bytes apart "
            "for validation; cut them into more files, or into lines of a .jsonl file"
        )
    return found


def _validation(texts: Sequence[str], total: int) -> list[int]:
    target = min(max(VALIDATION_SHARE * total, 2 * LEAST_VALIDATION), LARGEST_VALIDATION)
    sizes = list(map(_size, texts))
    order = sorted(range(len(texts)), key=lambda i: _key(texts[i]))
    chosen, size = [], 0
    for i in order:
        if size < target and size + sizes[i] <= 2 * target:
            chosen.append(i)
            size += sizes[i]
    for i in sorted(set(order) - set(chosen), key=lambda i: sizes[i]):  # a few long documents
        if size < LEAST_VALIDATION:
            chosen.append(i)
            size += sizes[i]
    return chosen


def _size(text: str) -> int:
    return len(text.encode())


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
