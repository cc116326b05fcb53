"""Graded arithmetic: addition, subtraction, comparison and sums without carry."""

from dataclasses import dataclass, field

import numpy as np

from densing.checks import check_choice, check_choices, check_range
from densing.data.skills.families import Problem, SkillFamily, digits, spelled

MODULUS = 5
# The first spelling is the fixed one. No blank before a digit: it would be a token of its own.
SPELLINGS = {
    "add": ("{}+{}", "{} +{}", "{}+{}=", "sum:{},{}"),
    "subtract": ("{}-{}", "{} -{}", "{}-{}=", "take:{},{}"),
    "compare": ("{}?{}", "{}or{}", "{}?{}=", "max:{},{}"),
    "mod": ("{}%{}", "{}mod{}", "{}%{}=", "mod:{},{}"),
}


def operand(rng: np.random.Generator, grade: int) -> int:
    """A number of exactly `grade` digits (grade 1 includes 0); grade 0: 0 to 4."""
    low = 0 if grade < 2 else 10 ** (grade - 1)
    return int(rng.integers(low, 5 if grade == 0 else 10**grade))


def _operands(grade: int) -> int:
    return (5, 10)[grade] if grade < 2 else 9 * 10 ** (grade - 1)


def _problem(family: str, grade: int, prompt: str, answer: str, left: object, right: object) -> Problem:
    # Both orders of a pair are one instance: otherwise the twin of a held-out sum would be in training.
    pair = (left, right) if family == "subtract" else sorted((left, right))
    return Problem(family, grade, prompt, answer, f"{family} {pair[0]} {pair[1]}")


def _add(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    a, b = operand(rng, grade), operand(rng, grade)
    return _problem("add", grade, spelled(rng, varied, SPELLINGS["add"]).format(a, b), str(a + b), a, b)


def _subtract(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    a, b = operand(rng, grade), operand(rng, grade)
    if grade < 2:
        while b > a:
            a, b = operand(rng, grade), operand(rng, grade)
    else:
        # Minuend, subtrahend and difference all have `grade` digits, so the length tells nothing.
        while a + b >= 10**grade:
            a, b = operand(rng, grade), operand(rng, grade)
        a += b
    prompt = spelled(rng, varied, SPELLINGS["subtract"]).format(a, b)
    return _problem("subtract", grade, prompt, str(a - b), a, b)


def unequal(rng: np.random.Generator, grade: int) -> tuple[int, int]:
    """Two different operands of a grade, in random order."""
    a, b = operand(rng, grade), operand(rng, grade)
    while a == b:
        b = operand(rng, grade)
    return a, b


def _compare(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    a, b = unequal(rng, grade)
    prompt = spelled(rng, varied, SPELLINGS["compare"]).format(a, b)
    return _problem("compare", grade, prompt, str(max(a, b)), a, b)


def _mod(rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    a, b = digits(rng, MODULUS, grade), digits(rng, MODULUS, grade)
    total = "".join(str((x + y) % MODULUS) for x, y in zip(a, b, strict=True))
    left, right = "".join(map(str, a)), "".join(map(str, b))
    prompt = spelled(rng, varied, SPELLINGS["mod"]).format(left, right)
    return _problem("mod", grade, prompt, total, left, right)


def _pairs(n: int) -> int:
    return n * (n + 1) // 2


GRADES = (0, 1, 2, 3, 4, 5, 6)
FAMILIES = (
    SkillFamily("add", "generation", GRADES, "arithmetic", _add, {k: _pairs(_operands(k)) for k in GRADES}),
    SkillFamily(
        "subtract",
        "generation",
        GRADES,
        "arithmetic",
        _subtract,
        {k: _pairs(_operands(k) if k < 2 else 8 * 10 ** (k - 1)) for k in GRADES},
    ),
    SkillFamily(
        "compare",
        "generation",
        GRADES,
        "arithmetic",
        _compare,
        {k: _pairs(_operands(k)) - _operands(k) for k in GRADES},
    ),
    SkillFamily(
        "mod", "generation", GRADES[1:], "arithmetic", _mod, {k: _pairs(MODULUS**k) for k in GRADES[1:]}
    ),
)


@dataclass
class ArithmeticProblems:
    """An endless seeded source of arithmetic problems of one difficulty.

    Parameters
    ----------
    difficulty : digits of an operand, 0 to 6; 0: operands 0 to 4 (1 to 6 with ``"mod"``).
    operations : some of ``"add"``, ``"subtract"``, ``"compare"`` (the larger), ``"mod"`` (digit by digit
        modulo 5, without carry), equally often.
    seed : whole number >= 0.

    Raises
    ------
    InputError : a difficulty or an operation that does not exist.
    """

    difficulty: int
    operations: tuple[str, ...] = ("add", "subtract")
    seed: int = 0
    rng: np.random.Generator = field(init=False, repr=False)

    def __post_init__(self):
        families = {family.name: family for family in FAMILIES}
        check_choices("operations", self.operations, families)
        for name in self.operations:
            check_choice("difficulty", self.difficulty, families[name].grades)
        check_range("seed", self.seed, 0, integer=True)
        self.rng = np.random.default_rng(self.seed)
        self._families = [families[name] for name in self.operations]

    def sample(self, count: int) -> list[Problem]:
        """The next `count` problems, in the families' fixed spelling, of either split."""
        check_range("count", count, 1, integer=True)
        picks = self.rng.integers(0, len(self._families), count)
        return [self._families[i].draw(self.rng, self.difficulty, False) for i in picks]
