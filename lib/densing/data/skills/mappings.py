"""In-context maps: a table of letters and digits, then letters to be looked up in it."""

from math import perm

import numpy as np

from densing.data.skills.families import Problem, SkillFamily, spelled
from densing.data.skills.symbols import LETTERS, written

SPELLINGS = ("{}?{}", "{}:{}", "{} ={}", "map{}:{}")


def _icl_map(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    # One pair: from two letters, so that every table is met often. Twice as many look-ups as pairs.
    letters = LETTERS[:2] if grade == 1 else LETTERS
    keys = [letters[i] for i in rng.permutation(len(letters))[:grade].tolist()]
    values = rng.permutation(10)[:grade].tolist()
    asked = rng.integers(0, grade, 2 * grade).tolist()
    table = "".join(f" {key}{value}" for key, value in zip(keys, values, strict=True))
    query = written([keys[i] for i in asked])
    prompt = spelled(rng, varied, SPELLINGS).format(table, query)
    return Problem(
        "icl_map", grade, prompt, "".join(str(values[i]) for i in asked), f"icl_map{table} ?{query}"
    )


_GRADES = (1, 2, 3, 4, 6, 8)
FAMILIES = (
    SkillFamily(
        "icl_map",
        "generation",
        _GRADES,
        "symbols",
        _icl_map,
        {k: perm(len(LETTERS) if k > 1 else 2, k) * perm(10, k) * k ** (2 * k) for k in _GRADES},
    ),
)
