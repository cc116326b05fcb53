"""Whether a text shares a run of words with the training text."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

_WORD = re.compile(r"\w+")
_BASE = np.uint64(0x9E3779B97F4A7C15)


def seen_in(texts: Sequence[str], training: Iterable[str], words: int = 13) -> np.ndarray:
    """Which texts share a run of `words` words (case and punctuation apart) with one of the training texts.

    A text of fewer words is never counted. Runs are compared by a 64-bit rolling hash, so about one text in
    10^11 is counted wrongly.

    Returns
    -------
    (texts,) booleans.

    References
    ----------
    Brown et al. (2020), Language models are few-shot learners, appendix C (13-gram overlap).
    """
    runs = [_runs(text, words) for text in texts]
    wanted = np.unique(np.concatenate([*runs, np.zeros(0, np.uint64)]))
    found = np.zeros(len(wanted), bool)
    for text in training:
        found |= np.isin(wanted, _runs(text, words))
    return np.array([bool(found[np.searchsorted(wanted, run)].any()) for run in runs], dtype=bool)


def _runs(text: str, words: int) -> np.ndarray:
    """Hash of every run of `words` words; Python's own string hash is enough, it never leaves the process."""
    ids = np.array([hash(word) & 0xFFFFFFFFFFFFFFFF for word in _WORD.findall(text.lower())], dtype=np.uint64)
    n = len(ids) - words + 1
    if n < 1:
        return np.zeros(0, np.uint64)
    total = np.zeros(n, np.uint64)
    for k in range(words):
        total = total * _BASE + ids[k : k + n]
    return total
