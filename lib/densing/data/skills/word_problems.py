"""Word problems as graphs of quantities: their wording, exact solution, written steps and graders."""

import re
from dataclasses import dataclass

import numpy as np

from densing.checks import check_choice
from densing.data.skills.families import Problem, SkillFamily, spelled
from densing.errors import InputError

KINDS = {"given": 0, "more": 1, "fewer": 1, "times": 1, "total": None}


@dataclass(frozen=True)
class Relation:
    """How one quantity follows from others.

    Parameters
    ----------
    target : the quantity that is defined.
    kind : ``"given"`` (it is `amount`), ``"more"``, ``"fewer"``, ``"times"`` (by `amount`, than one source),
        ``"total"`` (sum of two or more sources).
    amount : whole number; not used by ``"total"``.
    sources : the quantities it is derived from.
    """

    target: str
    kind: str
    amount: int = 0
    sources: tuple[str, ...] = ()

    def __post_init__(self):
        check_choice("kind", self.kind, KINDS)
        needed = KINDS[self.kind]
        if needed is None and len(self.sources) < 2:
            raise InputError(f"sources = {self.sources!r}: a total must have two or more")
        if needed is not None and len(self.sources) != needed:
            raise InputError(f"sources = {self.sources!r}: {self.kind!r} must have {needed}")


@dataclass(frozen=True)
class ProblemGraph:
    """A word problem without its words: quantities, relations between them, and the quantity asked for.

    Parameters
    ----------
    relations : one a quantity, in the order in which they are told.
    asked : the quantity asked for. Relations it does not depend on are distractors.

    Raises
    ------
    InputError : a quantity defined twice, or one asked for that no relation defines.
    """

    relations: tuple[Relation, ...]
    asked: str

    def __post_init__(self):
        targets = [relation.target for relation in self.relations]
        if len(set(targets)) != len(targets):
            raise InputError(f"relations: must define every quantity once; they define {', '.join(targets)}")
        if self.asked not in targets:
            raise InputError(f"asked = {self.asked!r}: must be one of {', '.join(map(repr, targets))}")


@dataclass(frozen=True)
class Solution:
    """Solution of a word problem: its value and the steps that lead there.

    Parameters
    ----------
    value : the quantity asked for.
    steps : the calculations that it needs, in order, each as ``"5+3=8"``.
    values : every quantity that it needs.
    """

    value: int
    steps: tuple[str, ...]
    values: dict[str, int]


def solve(graph: ProblemGraph) -> Solution:
    """Solve a word problem exactly, writing down only the calculations that the question needs.

    Raises
    ------
    InputError : a quantity that depends on one that is not defined, or on itself (names it).
    """
    defined = {relation.target: relation for relation in graph.relations}
    values: dict[str, int] = {}
    steps: list[str] = []

    def value(name: str, waiting: tuple[str, ...]) -> int:
        if name in values:
            return values[name]
        if name in waiting:
            raise InputError(f"graph: {name!r} depends on itself")
        if name not in defined:
            raise InputError(f"graph: {name!r} is used but not defined")
        relation = defined[name]
        sources = [value(source, (*waiting, name)) for source in relation.sources]
        if relation.kind == "given":
            result = relation.amount
        else:
            parts = sources if relation.kind == "total" else [sources[0], relation.amount]
            sign = {"more": "+", "fewer": "-", "times": "*", "total": "+"}[relation.kind]
            result = {"+": sum(parts), "-": parts[0] - parts[1], "*": parts[0] * parts[1]}[sign]
            steps.append(f"{sign.join(map(str, parts))}={result}")
        values[name] = result
        return result

    return Solution(value(graph.asked, ()), tuple(steps), values)


_ANSWER = re.compile(r"answer:?\s*(-?\d+)\s*$", re.IGNORECASE)
_LAST_RESULT = re.compile(r"(?:=|^)\s*(-?\d+)\s*$")
_STEP = re.compile(r"^(-?\d+)((?:[+\-*]\d+)+)=(-?\d+)$")


def parse_answer(text: str) -> int | None:
    """The final answer of a written solution.

    Read from its last line: ``answer: n``, or a bare number, or what stands after the last equals sign.
    None if that is no whole number.
    """
    lines = text.strip().splitlines()
    found = (_ANSWER.search(lines[-1]) or _LAST_RESULT.search(lines[-1])) if lines else None
    return int(found[1]) if found else None


def check_steps(text: str) -> list[bool]:
    """Whether each line of a written solution is a right calculation; a line ``answer: n`` is no step."""
    return [_right(line) for line in text.strip().splitlines() if not _ANSWER.match(line.strip())]


def _right(line: str) -> bool:
    found = _STEP.match(line.replace(" ", ""))
    if not found:
        return False
    # Left to right is exact here: a step has one kind of sign, and products are never mixed with sums.
    total = int(found[1])
    for sign, amount in re.findall(r"([+\-*])(\d+)", found[2]):
        total = {"+": total + int(amount), "-": total - int(amount), "*": total * int(amount)}[sign]
    return total == int(found[3])


# First quantity, further quantity, question; the first wording is the fixed one. Where no source is named a
# quantity is compared with the one told before it.
_WORDINGS = (
    ("{name} has {amount}", ", {name} {amount} {kind}", ": {name}?"),
    ("{name} has {amount}", ", {name} {amount} {kind} than {source}", ": {name}?"),
    ("{name} is {amount}.", " {name} is {amount} {kind}.", " {name}?"),
    ("{name}: {amount}", ", {name}: {amount} {kind}", ", {name}?"),
)
_WORDS = {"more": "more", "fewer": "less"}
_NAMES = ("A", "B", "C", "D", "E", "F", "G")


def render(graph: ProblemGraph, wording: int = 0) -> str:
    """Put a chain, as `chain` makes it, into words; wording 0 is the families' fixed one."""
    first, further, question = _WORDINGS[wording]
    told = [
        (first if relation.kind == "given" else further).format(
            name=relation.target,
            amount=relation.amount,
            kind=_WORDS.get(relation.kind),
            source=relation.sources[0] if relation.sources else "",
        )
        for relation in graph.relations
    ]
    return "".join(told) + question.format(name=graph.asked)


def chain(rng: np.random.Generator, steps: int, largest: int, names: tuple[str, ...]) -> ProblemGraph:
    """A chain of `steps` comparisons with numbers from 1 to `largest`; no quantity is negative."""
    value = int(rng.integers(1, largest + 1))
    relations = [Relation(names[0], "given", value)]
    for before, name in zip(names, names[1 : steps + 1], strict=False):
        lowest = -min(value, largest)
        change = int(rng.integers(lowest, largest))
        change += change >= 0  # not 0
        value += change
        relations.append(Relation(name, "more" if change > 0 else "fewer", abs(change), (before,)))
    return ProblemGraph(tuple(relations), names[steps])


def _problem(family: str, rng: np.random.Generator, grade: int, varied: bool) -> Problem:
    order = rng.permutation(len(_NAMES)).tolist() if varied else range(len(_NAMES))
    # Grade 0: one step with numbers to 3, so that every problem is met often.
    graph = chain(rng, max(grade, 1), 9 if grade else 3, tuple(_NAMES[i] for i in order))
    solution = solve(graph)
    prompt = render(graph, spelled(rng, varied, tuple(range(len(_WORDINGS)))))
    if family == "steps":
        answer = str(solution.value)
    else:  # asked by an equals sign: one prompt has one answer
        prompt, answer = f"{prompt[:-1]}=", "\n".join(solution.steps)
    # With and without written steps a problem is the same instance, and so is it under other names.
    key = "steps " + " ".join(f"{relation.kind} {relation.amount}" for relation in graph.relations)
    return Problem(family, grade, prompt, answer, key)


def _chains(steps: int, largest: int) -> int:
    """Number of distinct chains: first numbers and signed changes that stay at 0 or above."""
    ways = {value: 1 for value in range(1, largest + 1)}
    for _ in range(steps):
        after: dict[int, int] = {}
        for value, count in ways.items():
            for change in range(-min(value, largest), largest + 1):
                if change:
                    after[value + change] = after.get(value + change, 0) + count
        ways = after
    return sum(ways.values())


def _same_answer(problem: Problem, completion: str) -> bool:
    return parse_answer(completion) == parse_answer(problem.answer)


_GRADES = (0, 1, 2, 3)
_DISTINCT = {k: _chains(max(k, 1), 9 if k else 3) for k in _GRADES}
FAMILIES = (
    SkillFamily(
        "steps",
        "generation",
        _GRADES,
        "other",
        lambda rng, grade, varied: _problem("steps", rng, grade, varied),
        _DISTINCT,
    ),
    SkillFamily(
        "steps_cot",
        "generation",
        _GRADES,
        "other",
        lambda rng, grade, varied: _problem("steps_cot", rng, grade, varied),
        _DISTINCT,
        check=_same_answer,
    ),
)
