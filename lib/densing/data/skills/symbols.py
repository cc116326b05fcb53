"""Graded work on strings of letters: copying, reversing, sorting, counting."""

from math import comb

import numpy as np

from densing.data.skills.families import Problem, SkillFamily, spelled

# Letters that are one token each, with their blank, under the family's tokenizer (not j, q, u).
LETTERS = tuple("abcdefghiklmnoprstvwxyz")
FEW = LETTERS[:5]
TALLIED = LETTERS[:4]
# The sign or word that stands before the letters.
SPELLINGS = {
    "copy": ("=", "copy", "same:", "again"),
    "reverse": ("<", "reverse", "back:", "turn"),
    "sort": ("^", "sort", "order:", "rank"),
    "count": ("#", "count", "tally:", "how many"),
}


def string(rng: np.random.Generator, length: int, letters: tuple[str, ...] = LETTERS) -> list[str]:
    """`length` letters, each equally likely."""
    return [letters[i] for i in rng.integers(0, len(letters), length).tolist()]


def written(letters: list[str]) -> str:
    """Letters with a blank before each: every letter is then the same token wherever it stands."""
    return "".join(" " + letter for letter in letters)


def _prompt(rng: np.random.Generator, family: str, varied: bool, letters: list[str]) -> str:
    return spelled(rng, varied, SPELLINGS[family]) + written(letters)


def _copy(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    letters = string(rng, grade)
    prompt = _prompt(rng, "copy", varied, letters)
    return Problem("copy", grade, prompt, written(letters), "copy" + written(letters))


def _reverse(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    letters = string(rng, grade)
    prompt = _prompt(rng, "reverse", varied, letters)
    return Problem("reverse", grade, prompt, written(letters[::-1]), "reverse" + written(letters))


def _sort(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    letters = string(rng, grade) if grade else string(rng, 2, FEW)
    prompt = _prompt(rng, "sort", varied, letters)
    answer = written(sorted(letters))
    # The instance is the bag of letters: another order of a held-out bag has the same answer.
    return Problem("sort", grade, prompt, answer, "sort" + answer)


def _count(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    letters = string(rng, grade, TALLIED)
    prompt = _prompt(rng, "count", varied, letters)
    answer = "".join(str(letters.count(letter)) for letter in TALLIED)
    return Problem("count", grade, prompt, answer, "count" + written(letters))


_COPY = (1, 2, 4, 6, 8, 12, 16, 24)
_REVERSE = (1, 2, 3, 4, 6, 8, 12)
_SORT = (0, 2, 3, 4, 6, 8, 12)
_COUNT = (1, 2, 3, 4, 6, 8)
FAMILIES = (
    SkillFamily("copy", "generation", _COPY, "symbols", _copy, {k: len(LETTERS) ** k for k in _COPY}),
    SkillFamily(
        "reverse", "generation", _REVERSE, "symbols", _reverse, {k: len(LETTERS) ** k for k in _REVERSE}
    ),
    SkillFamily(
        "sort",
        "generation",
        _SORT,
        "symbols",
        _sort,
        {k: comb((len(LETTERS) if k else len(FEW)) + (k or 2) - 1, k or 2) for k in _SORT},
    ),
    SkillFamily("count", "generation", _COUNT, "other", _count, {k: len(TALLIED) ** k for k in _COUNT}),
)
