"""Causes of inverse scaling that the training text carries in a known dose.

Formulaic sayings (a memorised ending against an instruction), negated questions (rare beside the plain
ones), a false inference (two fallacies, part of them answered wrongly in training) and redefined signs.

References
----------
McKenzie and others (2023), Inverse scaling: when bigger isn't better.
"""

import hashlib
from functools import cache

import numpy as np
import pandas as pd

from densing.checks import check_choice
from densing.data.skills.arithmetic import unequal
from densing.data.skills.families import Problem, SkillFamily, spelled
from densing.data.skills.symbols import LETTERS

SAYINGS = 200
TOP_SAYING = 300
_ADJECTIVES = ("old", "red", "new", "dim", "low", "slow", "cold", "dry", "odd", "thin", "bold", "calm")
_NOUNS = (
    "ant", "art", "bed", "cat", "cod", "den", "ice", "ink", "key", "log", "man", "mask", "mat", "net", "oil",
    "pen", "pot", "ray", "sun", "ship", "song", "tea", "text", "ton", "tree", "turn", "vine", "voice", "ward", "wine",
)  # fmt: skip
_VERBS = ("has", "sees", "uses", "gets", "makes", "takes", "needs", "keeps")
_SAYING = ("{}", "they say {}", "so {}", "as ever, {}")
_ENDING = (
    "end {end}: {start}",
    "{start}, end in {end}:",
    "with {end} at the end: {start}",
    "to {end}: {start}",
)
_SIGNS = ("+", "-", "?")
_NEGATED = ("not {}?{}", "not max:{},{}", "not {} or {}", "not more:{},{}")
_REDEFINED = ("{} is {}: {}{}{}", "let {} be {}: {}{}{}", "if {} is {}, {}{}{}", "with {} as {}: {}{}{}")
_INFERENCE = (
    "if {0} then {1}, {2}: {3}?",
    "{1} if {0}. {2}. {3}?",
    "{0} gives {1}; {2}: {3}?",
    "when {0}, {1}. {2}: {3}?",
)
# What is told about which of the two, which is asked, the right answer, and the fallacy (None: no fallacy).
FORMS = ("modus ponens", "modus tollens", "denying the antecedent", "affirming the consequent")
_FORMS = (
    ("{0}", 1, "True", None),
    ("not {1}", 0, "False", None),
    ("not {0}", 1, "None", "False"),
    ("{1}", 0, "None", "True"),
)


def _saying(number: int) -> tuple[str, str]:
    """Start and ending of the sentence with this number."""
    words = []
    for choices in (_NOUNS, _ADJECTIVES, _VERBS, _NOUNS, _ADJECTIVES):
        number, i = divmod(number, len(choices))
        words.append(choices[i])
    ending, last, verb, noun, adjective = words
    return f"the {adjective} {noun} {verb} the {last}", f" {ending}"


_SENTENCES = len(_NOUNS) ** 2 * len(_ADJECTIVES) ** 2 * len(_VERBS)


@cache
def _sayings() -> dict[str, str]:
    found: dict[str, str] = {}
    for i in range(SAYINGS * 2):
        digest = hashlib.sha256(f"saying {i}".encode()).digest()
        start, ending = _saying(int.from_bytes(digest[:8], "big") % _SENTENCES)
        if len(found) < SAYINGS:
            found.setdefault(start, ending)
    return found


def load_sayings() -> pd.DataFrame:
    """The formulaic sayings that training holds.

    Returns
    -------
    200 rows by falling count: start, ending (with its blank), count (how often a full training of 8 million
    tokens with a quarter of skills meets it, strength 1: a power law of the rank from 300 to 1).
    """
    exponent = np.log(TOP_SAYING) / np.log(SAYINGS)
    counts = [max(1, round(TOP_SAYING / rank**exponent)) for rank in range(1, SAYINGS + 1)]
    sayings = _sayings()
    return pd.DataFrame({"start": list(sayings), "ending": list(sayings.values()), "count": counts})


def saying_problem(rng: np.random.Generator, index: int, varied: bool) -> Problem:
    """Saying number `index` of `load_sayings`, to be ended as it always is."""
    start, ending = list(_sayings().items())[index]
    return Problem("sayings", 1, spelled(rng, varied, _SAYING).format(start), ending, f"sayings {index}")


def _draw_saying(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    return saying_problem(rng, int(rng.integers(SAYINGS)), varied)


def _draw_ending(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    """The instruction that a saying is later made to defy: end this start, which is no saying, so."""
    start, ending = _saying(int(rng.integers(_SENTENCES)))
    while start in _sayings():
        start, ending = _saying(int(rng.integers(_SENTENCES)))
    prompt = spelled(rng, varied, _ENDING).format(start=start, end=ending.strip())
    return Problem("ending", 1, prompt, ending, f"ending {start}{ending}")


def _draw_negation(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    a, b = unequal(rng, grade)
    low, high = sorted((a, b))
    # The key of the plain question: a pair is held out of both or of neither.
    return Problem(
        "negation", grade, spelled(rng, varied, _NEGATED).format(a, b), str(low), f"compare {low} {high}"
    )


def _draw_redefine(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    low, high = sorted(unequal(rng, grade))
    while not low:  # with 0 two signs can have the same result
        low, high = sorted(unequal(rng, grade))
    sign, meaning = (_SIGNS[i] for i in rng.permutation(len(_SIGNS))[:2].tolist())
    prompt = spelled(rng, varied, _REDEFINED).format(sign, meaning, high, sign, low)
    answer = {"+": high + low, "-": high - low, "?": high}[meaning]
    return Problem("redefine", grade, prompt, str(answer), f"redefine {sign}{meaning} {high} {low}")


def _draw_inference(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    form = int(rng.integers(len(_FORMS)))
    premise, conclusion = (LETTERS[i] for i in rng.permutation(len(LETTERS))[:2].tolist())
    told, asked, answer, _ = _FORMS[form]
    told = told.format(premise, conclusion)
    prompt = spelled(rng, varied, _INFERENCE).format(premise, conclusion, told, (premise, conclusion)[asked])
    key = f"inference {premise} {conclusion} {form}"
    return Problem("inference", 1, prompt, answer, key, FORMS[form])


def fallacy(problem: Problem) -> str | None:
    """The fallacious answer to a problem of the family ``"inference"``; None for a form that has none."""
    check_choice("problem.family", problem.family, ("inference",))
    return _FORMS[FORMS.index(problem.group)][3]


def _unequal_pairs(grade: int, low: int = 0) -> int:
    n = (5, 10)[grade] - low if grade < 2 else 9 * 10 ** (grade - 1)
    return n * (n - 1) // 2


_GRADES = (0, 1, 2)
FAMILIES = (
    SkillFamily("sayings", "choice", (1,), "causes", _draw_saying, {1: SAYINGS}),
    SkillFamily("ending", "choice", (1,), "causes", _draw_ending, {1: _SENTENCES - SAYINGS * len(_NOUNS)}),
    SkillFamily(
        "negation", "choice", _GRADES, "causes", _draw_negation, {k: _unequal_pairs(k) for k in _GRADES}
    ),
    SkillFamily(
        "redefine",
        "choice",
        _GRADES,
        "causes",
        _draw_redefine,
        {k: 6 * _unequal_pairs(k, low=1) for k in _GRADES},
    ),
    SkillFamily(
        "inference",
        "choice",
        (1,),
        "causes",
        _draw_inference,
        {1: len(FORMS) * len(LETTERS) * (len(LETTERS) - 1)},
    ),
)
