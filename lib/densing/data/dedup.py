"""Exact and near duplicates among texts."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from densing.checks import check_range

_WORD = re.compile(r"\w+|[^\w\s]")
_MIXERS = np.random.default_rng(0).integers(0, 1 << 63, size=64, dtype=np.uint64) | np.uint64(1)
_HASHES = 16


def shingles(text: str, n: int = 13) -> np.ndarray:
    """Sorted hashes (uint64) of the word n-grams of `text`; of all its words where it has fewer than n."""
    words = np.array([_word_hash(word) for word in _WORD.findall(text.lower())] or [0], dtype=np.uint64)
    n = min(n, len(words))
    grams = np.zeros(len(words) - n + 1, dtype=np.uint64)
    for k in range(n):  # a polynomial in the words' hashes, modulo 2^64
        grams += words[k : len(words) - n + 1 + k] * _MIXERS[k]
        grams ^= grams >> np.uint64(31)
    return np.unique(grams)


def deduplicate(texts: Sequence[str], *, n: int = 13, threshold: float = 0.8) -> list[int]:
    """Indices of `texts` to keep: of texts that are (nearly) equal, the first.

    Candidates share one of 16 min-wise hashes of their n-grams (a pair at the threshold 0.8 is missed with
    probability 0.2^16); a candidate is a duplicate when the Jaccard similarity itself, counted on the
    n-grams, is above the threshold.

    Parameters
    ----------
    n : words in a gram, 1 to 64.
    threshold : Jaccard similarity, [0.5, 1).

    References
    ----------
    Broder (1997), On the resemblance and containment of documents.
    """
    check_range("n", n, 1, 64, integer=True)
    check_range("threshold", threshold, 0.5, 1, open_high=True)
    kept: list[int] = []
    grams_of: dict[int, np.ndarray] = {}
    buckets: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        grams = shingles(text, n)
        keys = list(enumerate(_min_hashes(grams)))
        candidates = {other for key in keys for other in buckets.get(key, ())}
        if any(_jaccard(grams, grams_of[other]) > threshold for other in candidates):
            continue
        kept.append(index)
        grams_of[index] = grams
        for key in keys:
            buckets[key].append(index)
    return kept


def _min_hashes(grams: np.ndarray) -> list[int]:
    mixed = grams[:, None] * _MIXERS[-_HASHES:]
    mixed ^= mixed >> np.uint64(29)  # a product alone leaves the low bits of its factors unmixed
    mixed *= _MIXERS[0]
    return mixed.min(axis=0).tolist()


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    if min(len(a), len(b)) < 0.5 * max(len(a), len(b)):
        return 0.0
    shared = len(np.intersect1d(a, b, assume_unique=True))
    return shared / (len(a) + len(b) - shared)


@lru_cache(maxsize=1 << 20)
def _word_hash(word: str) -> int:
    """Python's own hash changes from process to process."""
    return int.from_bytes(
        hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big"
    )
