"""Questions from the generated skills: fact_recall, fact_hop, arith_choice. The answer stands after ``<ans>``."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np

from densing.data.skills.facts import STRATA, fact_values, load_facts, stratum
from densing.data.skills.mixture import SKILLS, evaluation_problems
from densing.data.tokenizers import ANSWER, END
from densing.evaluation.capability.questions import MOST_CHOICES, Question

T = TypeVar("T")
_COMPOSED = "kin"  # the relation whose value is an entity


def graded(fetch: Callable[[int, int], Sequence[T]], grades: Sequence[int], count: int) -> dict[int, list[T]]:
    """`count` items spread evenly over grades; what a grade lacks goes to the others.

    Parameters
    ----------
    fetch : ``fetch(grade, n)`` returns the first n items of a grade, fewer where there are fewer.
    """
    taken: dict[int, list[T]] = {}
    waiting, left = list(grades), count
    while waiting:
        share, more = divmod(left, len(waiting))
        quotas = {grade: share + (k < more) for k, grade in enumerate(waiting)}
        got = {grade: list(fetch(grade, quota)) if quota else [] for grade, quota in quotas.items()}
        short = [grade for grade in waiting if len(got[grade]) < quotas[grade]]
        for grade in short or waiting:
            taken[grade] = got[grade]
            left -= len(got[grade])
            waiting = [other for other in waiting if other != grade]
    return {grade: taken[grade] for grade in grades}


def _round_robin(pools: Sequence[Sequence[T]], count: int) -> list[T]:
    """One item of each pool in turn, until `count` or all are taken: a prefix of every longer list."""
    longest = max(map(len, pools))
    return [pool[k] for k in range(longest) for pool in pools if k < len(pool)][:count]


def _wrong(rng: np.random.Generator, values: Sequence[str], taken: set[str]) -> tuple[str, ...]:
    """Other values than `taken`, at random, as whole answers."""
    found: dict[str, None] = {}
    while len(found) < MOST_CHOICES - 1:
        value = values[int(rng.integers(len(values)))]
        if value not in taken:
            found[value + END] = None
    return tuple(found)


def _fact_recall(count: int, seed: int) -> list[Question]:
    """Facts as they stand in training, every frequency class in turn."""
    facts = load_facts()
    rng = np.random.default_rng([seed, 1])
    values = {relation: fact_values(relation) for relation in facts["relation"].unique()}
    questions = [
        Question(
            "fact_recall",
            1,
            f"{fact.entity} {fact.relation}{ANSWER}",
            ANSWER,
            fact.value + END,
            _wrong(rng, values[fact.relation], {fact.value}),
            fact.stratum,
        )
        for fact in facts.itertuples()
    ]
    return _in_strata(questions, rng, count)


def _fact_hop(count: int, seed: int) -> list[Question]:
    """A relation of an entity's kin, which no training text states; the entity's own value is no choice."""
    facts = load_facts()
    rng = np.random.default_rng([seed, 2])
    value = dict(zip(zip(facts["entity"], facts["relation"], strict=True), facts["value"], strict=True))
    counts = dict(zip(facts["entity"], facts["count"], strict=True))
    relations = [relation for relation in facts["relation"].unique() if relation != _COMPOSED]
    values = {relation: fact_values(relation) for relation in relations}
    questions = []
    for entity in facts["entity"].unique():
        kin = value[entity, _COMPOSED]
        for relation in relations:
            right, own = value[kin, relation], value[entity, relation]
            if right == own:
                continue  # answered without the second step
            questions.append(
                Question(
                    "fact_hop",
                    2,
                    f"{entity} {_COMPOSED} {relation}{ANSWER}",
                    ANSWER,
                    right + END,
                    _wrong(rng, values[relation], {right, own}),
                    stratum(min(counts[entity], counts[kin])),
                )
            )
    return _in_strata(questions, rng, count)


def _in_strata(questions: list[Question], rng: np.random.Generator, count: int) -> list[Question]:
    shuffled = [questions[i] for i in rng.permutation(len(questions)).tolist()]
    labels = [stratum(low) for low in STRATA]
    return _round_robin([[q for q in shuffled if q.group == label] for label in labels], count)


def _arith_choice(count: int, seed: int) -> list[Question]:
    """Held-out sums; a wrong answer misses the right one in one digit."""

    def fetch(grade: int, quota: int) -> list[Question]:
        return [
            Question("arith_choice", grade, problem.prompt + ANSWER, ANSWER, problem.answer + END, wrong)
            for problem in problems(grade=grade, count=quota, seed=seed, family="add")
            for wrong in [_near_misses(seed, problem.prompt, problem.answer)]
        ]

    by_grade = graded(fetch, SKILLS["add"].grades, count)
    return _round_robin(list(by_grade.values()), count)


def _near_misses(seed: int, prompt: str, answer: str) -> tuple[str, ...]:
    """The answer with one digit moved, within a window of eight digits (9 is next to 0) at a random place in it.

    Every number of the window is then right equally often. Misses around the right answer would not do: a model
    that only likes some digits chooses the one in the middle in one of eight questions, not of four.
    The leading digit of a longer answer stays: it is a 1 far too often.
    """
    rng = np.random.default_rng([seed, 3, *prompt.encode()])
    place = int(rng.integers(1, len(answer))) if len(answer) > 1 else 0
    own = int(rng.integers(MOST_CHOICES))
    first = int(answer[place]) - own
    window = [f"{answer[:place]}{(first + k) % 10}{answer[place + 1 :]}{END}" for k in range(MOST_CHOICES)]
    return tuple(window[own ^ k] for k in range(1, MOST_CHOICES))  # pairs and fours of the window come first


@lru_cache(maxsize=512)
def problems(family: str, grade: int, count: int, seed: int) -> tuple:
    """`evaluation_problems`, kept: a sweep evaluates the same items many times."""
    return tuple(evaluation_problems(family, grade, count, seed))


MAKERS: dict[str, Callable[[int, int], list[Question]]] = {
    "fact_recall": _fact_recall,
    "fact_hop": _fact_hop,
    "arith_choice": _arith_choice,
}
