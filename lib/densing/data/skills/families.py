"""What a generated skill is: a problem, its family with grades, and the split into training and evaluation."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from densing.checks import check_choice
from densing.errors import InputError

EVALUATION_SHARE = 0.1
# Below this many distinct instances a tenth is too few to score: the grade is not split and measures memory.
SPLIT_FROM = 500


@dataclass(frozen=True, slots=True)
class Problem:
    """One instance of a generated skill.

    As text of the training stream it reads ``prompt<ans>answer<end>``; at evaluation the model is given
    ``<doc>prompt<ans>``.

    Parameters
    ----------
    family : name of the family.
    grade : difficulty within the family.
    prompt : the text before the answer, without special tokens.
    answer : the one right answer, without special tokens (written steps included).
    key : identity of the instance, whatever its spelling: what the split hashes.
    group : stratum within the family, such as the frequency class of a fact; may be empty.
    """

    family: str
    grade: int
    prompt: str
    answer: str
    key: str
    group: str = ""

    def text(self) -> str:
        """The instance as it stands in a training document."""
        return f"{self.prompt}<ans>{self.answer}<end>"


def is_training(key: str) -> bool:
    """Whether the instance `key` belongs to training; a tenth, by SHA-256, is kept for evaluation."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") >= EVALUATION_SHARE * 2**64


def _same(problem: Problem, completion: str) -> bool:
    return completion.strip() == problem.answer.strip()


@dataclass(frozen=True)
class SkillFamily:
    """A family of problems of growing difficulty.

    Parameters
    ----------
    name : name of the family.
    kind : ``"generation"`` (graded by the exact answer) or ``"choice"`` (facts, and the causes of inverse scaling).
    grades : difficulties, easiest first.
    part : what the family counts to in the mixture: ``"arithmetic"``, ``"symbols"``, ``"facts"`` or ``"other"``.
    draw : ``draw(rng, grade, varied) -> Problem``.
    distinct : grade to the number of distinct instances.
    trained : False: never in a training stream.
    split : False: no instance is kept for evaluation, at any grade.
    check : ``check(problem, completion) -> bool``; by default the exact answer.
    select : ``select(rng, grade, count) -> list of Problem`` for families whose evaluation is a chosen sample.
    """

    name: str
    kind: str
    grades: tuple[int, ...]
    part: str
    draw: Callable[[np.random.Generator, int, bool], Problem]
    distinct: Mapping[int, int]
    trained: bool = True
    split: bool = True
    check: Callable[[Problem, str], bool] = field(default=_same, repr=False)
    select: Callable[[np.random.Generator, int, int], list[Problem]] | None = field(default=None, repr=False)

    def sample(self, rng: np.random.Generator, grade: int, spelling: str = "fixed") -> Problem:
        """Draw one instance, of either split.

        Parameters
        ----------
        rng : numpy Generator.
        grade : one of `grades`.
        spelling : ``"fixed"``, the family's own spelling of the question, or ``"varied"``, one of several others.

        Raises
        ------
        InputError : an unknown grade or spelling, or a generator that is none.
        """
        check_choice("grade", grade, self.grades)
        check_choice("spelling", spelling, ("fixed", "varied"))
        if not isinstance(rng, np.random.Generator):
            raise InputError(f"rng = {rng!r}: must be a numpy Generator")
        return self.draw(rng, grade, spelling == "varied")

    def memory(self, grade: int) -> bool:
        """Whether a grade is not split (fewer than 500 distinct instances), so that it measures memory."""
        check_choice("grade", grade, self.grades)
        return self._whole(grade)

    def _whole(self, grade: int) -> bool:
        return not self.split or self.distinct[grade] < SPLIT_FROM

    def in_training(self, problem: Problem) -> bool:
        """Whether a problem of this family may stand in the training stream."""
        return self.trained and (self._whole(problem.grade) or is_training(problem.key))

    def verify(self, problem: Problem, completion: str) -> bool:
        """Whether `completion` (without ``<end>``) answers the problem; blanks around it do not count."""
        return self.check(problem, completion)


def digits(rng: np.random.Generator, base: int, length: int) -> list[int]:
    """`length` digits below `base`, each equally likely."""
    return rng.integers(0, base, length).tolist()


def spelled(rng: np.random.Generator, varied: bool, spellings: Sequence):
    """The first spelling, or, if `varied`, any of the others."""
    return spellings[int(rng.integers(1, len(spellings)))] if varied else spellings[0]
