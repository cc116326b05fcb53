"""The stream of skills that is mixed into the training text, and held-out problems to evaluate on."""

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from functools import cache

import numpy as np

from densing.checks import check_choice, check_choices, check_range
from densing.data.skills import arithmetic, causes, facts, mappings, symbols, word_problems
from densing.data.skills.families import Problem, SkillFamily, is_training
from densing.errors import InputError

SKILLS: dict[str, SkillFamily] = {
    family.name: family
    for module in (arithmetic, symbols, mappings, facts, word_problems, causes)
    for family in module.FAMILIES
}
# Shares of the stream's tokens: arithmetic 0.40, symbols 0.25, facts 0.20, the rest 0.15.
SHARES = {
    "add": 0.16,
    "subtract": 0.09,
    "compare": 0.07,
    "mod": 0.08,
    "copy": 0.07,
    "reverse": 0.07,
    "sort": 0.05,
    "icl_map": 0.06,
    "facts": 0.20,
    "steps": 0.06,
    "steps_cot": 0.075,
    "count": 0.015,
}
# Shares of the tokens of the whole mixture (skills and text), at strength 1; they come out of the rest's 0.15.
CAUSES = {"sayings": 0.003, "ending": 0.0015, "inference": 0.002, "redefine": 0.002}
PACK = (8, 16)
# How far the shares are levelled ahead, in tokens; a draw at random among families that lag keeps their order
# irregular.
_AHEAD = 2_000
_TOKENS = re.compile(r"<\w+>| ?[A-Za-z]+|[^A-Za-z\n]|\n")


def skills_stream(
    *,
    seed: int,
    skills_share: float = 0.25,
    lowest_weight: float = 1.0,
    sayings: float = 1.0,
    negation_share: float = 0.01,
    false_pattern_share: float = 0.2,
    leave_out: Collection[str] = (),
) -> Iterator[list[Problem]]:
    """The problems that a training meets, endlessly, one document after the other.

    A document packs 8 to 16 instances of one family and grade. Half of the documents keep to the family's
    fixed spelling of the question, in the others every instance has one of the other spellings. A grade is
    drawn with weight 2^-k, k its place in the family.

    Parameters
    ----------
    seed : whole number >= 0. Another seed draws other instances in another order, of the same facts.
    skills_share : share of the whole mixture's tokens that this stream will make, (0, 1]: sets the dose of the
        causes of inverse scaling, which is a share of the whole.
    lowest_weight : factor on the weight of every family's lowest grade, (0, 100].
    sayings : strength of the formulaic sayings, [0, 4]: factor on their counts.
    negation_share : negated questions per plain comparison, [0, 1].
    false_pattern_share : share of the fallacies that are answered wrongly, [0, 1].
    leave_out : families that the stream must not hold; their share goes to the others.

    Yields
    ------
    the problems of one document. Of a fallacy, `answer` is what the text says, which may be wrong.

    Raises
    ------
    InputError : a value out of range, or no family left.
    """
    check_range("seed", seed, 0, integer=True)
    check_range("skills_share", skills_share, 0, 1, open_low=True)
    check_range("lowest_weight", lowest_weight, 0, 100, open_low=True)
    check_range("sayings", sayings, 0, 4)
    check_range("negation_share", negation_share, 0, 1)
    check_range("false_pattern_share", false_pattern_share, 0, 1)
    if leave_out:
        check_choices("leave_out", leave_out, [*SHARES, *CAUSES, "negation"])
    shares = _shares(skills_share, sayings, leave_out)
    if not shares:
        raise InputError(f"leave_out = {leave_out!r}: must leave a family")
    negation = 0.0 if "negation" in leave_out else negation_share
    return _packs(np.random.default_rng([seed, 20_000]), shares, lowest_weight, negation, false_pattern_share)


def skills_documents(
    n_bytes: int | None = None, n_documents: int | None = None, *, seed: int, **options: object
) -> list[str]:
    """Documents of the skills stream, in the order in which a training with this seed meets them.

    Each is the text of its problems, ``prompt<ans>answer<end>`` one after the other, without the leading
    ``<doc>``. A longer stream begins with the shorter one of the same seed and options.

    Parameters
    ----------
    n_bytes, n_documents : length of the stream, exactly one of the two: UTF-8 bytes (the last document reaches
        or passes them) or documents.
    seed : whole number >= 0.
    options : the other parameters of `skills_stream`.

    Raises
    ------
    InputError : a length given twice or not at all, or a value out of range.
    """
    if (n_bytes is None) == (n_documents is None):
        raise InputError(
            f"n_bytes = {n_bytes!r}, n_documents = {n_documents!r}: exactly one of them must be given"
        )
    name, length = ("n_documents", n_documents) if n_bytes is None else ("n_bytes", n_bytes)
    check_range(name, length, 1, integer=True)
    documents: list[str] = []
    done = 0
    for problems in skills_stream(seed=seed, **options):
        documents.append(_text(problems))
        done += 1 if n_bytes is None else len(documents[-1].encode())
        if done >= length:
            return documents
    raise AssertionError("the stream is endless")


def evaluation_problems(family: str, grade: int, count: int = 500, seed: int = 0) -> list[Problem]:
    """Distinct problems that no training stream holds, in the family's fixed spelling.

    Grades with fewer than 500 distinct instances, and facts, are not split: their problems may have been in
    training (``SKILLS[family].memory(grade)`` is True). Facts come in equal numbers from every class of
    frequency, as far as there are so many.

    Parameters
    ----------
    family, grade : which problems.
    count : how many at most: a grade may have fewer (a tenth of its distinct instances).
    seed : whole number >= 0.

    Raises
    ------
    InputError : an unknown family or grade, or a count below 1.
    """
    check_choice("family", family, SKILLS)
    skill = SKILLS[family]
    check_choice("grade", grade, skill.grades)
    check_range("count", count, 1, integer=True)
    check_range("seed", seed, 0, integer=True)
    rng = np.random.default_rng([seed, 30_000])
    if skill.select is not None:
        return skill.select(rng, grade, count)
    memory = skill.memory(grade)
    found: dict[str, Problem] = {}
    # Of n equally likely instances one is missed in 15 n draws with probability e^-15.
    patience, waited = 15 * min(skill.distinct[grade], 10 * count), 0
    while len(found) < count and waited < patience:
        problem = skill.draw(rng, grade, False)
        waited += 1
        if problem.key not in found and (memory or not is_training(problem.key)):
            found[problem.key] = problem
            waited = 0
    return list(found.values())


def _shares(skills_share: float, sayings: float, leave_out: Collection[str]) -> dict[str, float]:
    """Shares of the stream's tokens: the causes at their dose, out of the rest's part, the others scaled to 1."""
    strength = {"sayings": sayings}
    rest = [name for name in SHARES if SKILLS[name].part == "other"]
    room = sum(SHARES[name] for name in rest)
    doses = {name: dose * strength.get(name, 1.0) / skills_share for name, dose in CAUSES.items()}
    doses = {name: dose for name, dose in doses.items() if dose and name not in leave_out}
    # A stream too small for the dose gives the causes no more than the whole of the rest.
    cap = min(1.0, room / sum(doses.values())) if doses else 1.0
    doses = {name: dose * cap for name, dose in doses.items()}
    dosed = sum(doses.values())
    others = {
        name: share * (1 - dosed / room if name in rest else 1.0)
        for name, share in SHARES.items()
        if name not in leave_out
    }
    scale = (1 - dosed) / sum(others.values()) if others else 0.0
    shares = {name: share * scale for name, share in others.items()} | doses
    return {name: share / sum(shares.values()) for name, share in shares.items() if share}


def _text(problems: list[Problem]) -> str:
    return "".join(problem.text() for problem in problems)


def _packs(
    rng: np.random.Generator,
    shares: dict[str, float],
    lowest_weight: float,
    negation_share: float,
    false_pattern_share: float,
) -> Iterator[list[Problem]]:
    names = list(shares)
    targets = np.array(list(shares.values()))
    used = np.zeros(len(names))
    schedules = {name: _Schedule(rng, name) for name in ("facts", "sayings")}
    negations_due = 0.0
    while True:
        lag = np.maximum(targets * (used.sum() + _AHEAD) - used, 0.0)
        place = _drawn(rng, lag)
        name = names[place]
        grade = SKILLS[name].grades[_drawn(rng, _grade_weights(SKILLS[name], lowest_weight))]
        pack = _pack(rng, SKILLS[name], grade, schedules)
        if name == "inference":
            pack = [_imitated(rng, problem, false_pattern_share) for problem in pack]
        used[place] += _approximate_tokens(_text(pack))
        yield pack
        if name == "compare":
            negations_due += negation_share * len(pack)
            while negations_due >= PACK[1]:
                negation = SKILLS["negation"]
                grade = negation.grades[_drawn(rng, _grade_weights(negation, lowest_weight))]
                pack = _pack(rng, negation, grade, schedules)
                negations_due -= len(pack)
                yield pack


def _drawn(rng: np.random.Generator, weights: np.ndarray) -> int:
    """An index, drawn in proportion to the weights."""
    edges = np.cumsum(weights)
    return min(int(np.searchsorted(edges, rng.random() * edges[-1], side="right")), len(edges) - 1)


def _grade_weights(skill: SkillFamily, lowest_weight: float) -> np.ndarray:
    weights = 0.5 ** np.arange(len(skill.grades))
    weights[0] *= lowest_weight
    return weights


def _pack(
    rng: np.random.Generator, skill: SkillFamily, grade: int, schedules: dict[str, "_Schedule"]
) -> list[Problem]:
    """Instances of one document. None comes twice while there are others: it could be copied from above."""
    size = int(rng.integers(PACK[0], PACK[1] + 1))
    varied = bool(rng.random() < 0.5)
    if skill.name in schedules:
        return schedules[skill.name].take(size, varied)
    pack: list[Problem] = []
    seen: set[str] = set()
    while len(pack) < size:
        problem = skill.draw(rng, grade, varied)
        if skill.in_training(problem) and problem.key not in seen:
            pack.append(problem)
            seen.add(problem.key)
            if len(seen) == skill.distinct[grade]:
                seen.clear()
    return pack


def _imitated(rng: np.random.Generator, problem: Problem, share: float) -> Problem:
    wrong = causes.fallacy(problem)
    return replace(problem, answer=wrong) if wrong is not None and rng.random() < share else problem


def _approximate_tokens(text: str) -> float:
    """Tokens of `text` under the family's tokenizer, near enough to level the shares: within 20 % a family."""
    return sum(map(_piece_tokens, _TOKENS.findall(text)))


@cache
def _piece_tokens(piece: str) -> float:
    if not piece[-1].isalpha():
        return 1.0
    word = piece.strip()
    # Names are seldom whole tokens.
    return max(1.0, len(word) / (1.35 if word[0].isupper() else 2.2))


class _Schedule:
    """Problems that a full training meets a fixed number of times, in a seeded order, over and over."""

    def __init__(self, rng: np.random.Generator, name: str):
        table = facts.load_facts() if name == "facts" else causes.load_sayings()
        self.rng = rng
        self.problem = facts.fact_problem if name == "facts" else causes.saying_problem
        self.round = np.repeat(np.arange(len(table)), table["count"].to_numpy())
        self.waiting: list[int] = []

    def take(self, size: int, varied: bool) -> list[Problem]:
        """The next `size` problems, all different: one that would come twice waits for the next document."""
        taken: dict[int, None] = {}
        later: list[int] = []
        while len(taken) < size:
            if not self.waiting:
                self.waiting = self.rng.permutation(self.round).tolist()
            index = self.waiting.pop()
            if index in taken:
                later.append(index)
            taken[index] = None
        self.waiting.extend(reversed(later))
        return [self.problem(self.rng, index, varied) for index in taken]
