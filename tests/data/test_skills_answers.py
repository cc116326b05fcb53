"""The answers of the generated skills, worked out again from the question's text alone."""

import re
from collections import Counter

import numpy as np
import pytest

from densing.data import (
    SKILLS,
    ArithmeticProblems,
    Problem,
    evaluation_problems,
    fact_values,
    fallacy,
    is_training,
    load_facts,
    load_sayings,
)
from densing.errors import InputError

LETTER = re.compile(r"(?<!\w)[a-z](?!\w)")


def numbers(prompt: str) -> list[str]:
    return re.findall(r"\d+", prompt)


def lookups(prompt: str) -> str:
    table = dict(re.findall(r"([a-z])(\d)", prompt))
    return "".join(table[letter] for letter in re.findall(r"(?<= )[a-z](?!\w)", prompt))


def carry_free(prompt: str) -> str:
    a, b = numbers(prompt)
    assert len(a) == len(b) and set(a + b) <= set("01234")
    return "".join(str((int(x) + int(y)) % 5) for x, y in zip(a, b, strict=True))


def told(prompt: str) -> tuple[int, list[str]]:
    """Walk through a word problem as told: the last quantity and the calculations."""
    names = re.findall(r"\b[A-G]\b", prompt)
    assert names[-1] in names[:-1], prompt
    first, *changes = re.findall(r"(\d+)(?: (more|less))?", prompt)
    value, steps = int(first[0]), []
    for amount, kind in changes:
        sign = "+" if kind == "more" else "-"
        after = value + int(amount) if kind == "more" else value - int(amount)
        steps.append(f"{value}{sign}{amount}={after}")
        value = after
    return value, steps


def redefined(prompt: str) -> str:
    sign, meaning = re.findall(r"(?:^|let |if |with )(\S) (?:is|be|as) (\S?)[:,]", prompt)[0]
    a, used, b = re.findall(r"(\d+)(\D)(\d+)", prompt)[0]
    assert sign == used != meaning
    return str({"+": int(a) + int(b), "-": int(a) - int(b), "?": max(int(a), int(b))}[meaning])


def inferred(prompt: str) -> str:
    """By truth table: the asked letter's value in every world that agrees with what is told."""
    letters = LETTER.findall(prompt)
    if prompt[0] in letters[0] and " if " in prompt:
        conclusion, premise = letters[:2]
    else:
        premise, conclusion = letters[:2]
    observed, asked = letters[2:]
    holds = "not" not in prompt
    worlds = [{premise: p, conclusion: c} for p in (True, False) for c in (True, False) if c or not p]
    values = {world[asked] for world in worlds if world[observed] == holds}
    return str(values.pop()) if len(values) == 1 else "None"


SOLVERS = {
    "add": lambda p: str(sum(map(int, numbers(p)))),
    "subtract": lambda p: str(int(numbers(p)[0]) - int(numbers(p)[1])),
    "compare": lambda p: str(max(map(int, numbers(p)))),
    "negation": lambda p: str(min(map(int, numbers(p)))),
    "mod": carry_free,
    "copy": lambda p: "".join(" " + x for x in LETTER.findall(p)),
    "reverse": lambda p: "".join(" " + x for x in reversed(LETTER.findall(p))),
    "sort": lambda p: "".join(" " + x for x in sorted(LETTER.findall(p))),
    "count": lambda p: "".join(str(LETTER.findall(p).count(x)) for x in "abcd"),
    "icl_map": lookups,
    "steps": lambda p: str(told(p)[0]),
    "steps_cot": lambda p: "\n".join(told(p)[1]),
    "redefine": redefined,
    "inference": inferred,
    "ending": lambda p: " " + re.findall(r"(?:^end|, end in|^with|^to) (\w+)", p)[0],
}
GRADED = [(name, grade) for name, skill in SKILLS.items() if name in SOLVERS for grade in skill.grades]


@pytest.mark.parametrize("spelling", ["fixed", "varied"])
@pytest.mark.parametrize(("name", "grade"), GRADED)
def test_the_answer_follows_from_the_prompt(name: str, grade: int, spelling: str):
    rng = np.random.default_rng(grade)
    spellings = set()
    for _ in range(60):
        problem = SKILLS[name].sample(rng, grade, spelling)
        assert (problem.family, problem.grade) == (name, grade)
        assert problem.answer == SOLVERS[name](problem.prompt), problem
        assert SKILLS[name].verify(problem, problem.answer)
        assert not SKILLS[name].verify(problem, problem.answer + "7")
        assert not SKILLS[name].verify(problem, "")
        assert "<" not in problem.answer
        spellings.add(re.sub(r"\d+|\b[a-zA-D]\b", "", problem.prompt))
    assert spelling == "fixed" or len(spellings) > 2, "the spellings must vary"


def test_every_family_is_recomputed_or_a_table():
    assert set(SKILLS) - set(SOLVERS) == {"facts", "facts_unseen", "sayings"}


def test_lengths_follow_the_grade():
    rng = np.random.default_rng(0)
    for grade in range(2, 7):
        for name in ("add", "subtract", "compare"):
            assert {len(n) for n in numbers(SKILLS[name].sample(rng, grade).prompt)} == {grade}
        assert len(SKILLS["subtract"].sample(rng, grade).answer) == grade
        assert len(SKILLS["mod"].sample(rng, grade).answer) == grade
    small = [SKILLS["add"].sample(rng, 0) for _ in range(400)]
    assert {n for p in small for n in numbers(p.prompt)} == set("01234")
    for name in ("copy", "reverse", "sort", "count"):
        for grade in SKILLS[name].grades:
            assert len(LETTER.findall(SKILLS[name].sample(rng, grade).prompt)) == (grade or 2)


SMALL = [(n, g) for n, s in SKILLS.items() for g in s.grades if s.distinct[g] <= 400 and s.select is None]


@pytest.mark.parametrize(("name", "grade"), SMALL)
def test_distinct_instances_are_counted_right(name: str, grade: int):
    skill = SKILLS[name]
    rng = np.random.default_rng(1)
    drawn = {
        skill.sample(rng, grade, s).key
        for s in ("fixed", "varied")
        for _ in range(25 * skill.distinct[grade])
    }
    assert len(drawn) == skill.distinct[grade]
    assert skill.memory(grade)
    assert len(evaluation_problems(name, grade, 500)) == skill.distinct[grade]


def test_larger_grades_are_counted_right():
    """By brute force over all operands."""
    assert SKILLS["add"].distinct[2] == len(
        {tuple(sorted((a, b))) for a in range(10, 100) for b in range(10, 100)}
    )
    subtract = sum(a + b < 100 for a in range(10, 100) for b in range(10, 100))
    assert SKILLS["subtract"].distinct[2] == subtract
    assert SKILLS["compare"].distinct[2] == sum(a < b for a in range(10, 100) for b in range(10, 100))
    changes = [c for c in range(-9, 10) if c]
    chains = sum(a + c >= 0 and a + c + d >= 0 for a in range(1, 10) for c in changes for d in changes)
    assert SKILLS["steps"].distinct[2] == chains
    assert SKILLS["icl_map"].distinct[2] == 23 * 22 * 10 * 9 * 2**4


def test_both_orders_of_a_pair_are_one_instance():
    rng = np.random.default_rng(2)
    for name in ("add", "compare", "mod"):
        keys = {}
        for _ in range(4_000):
            problem = SKILLS[name].sample(rng, 1)
            keys.setdefault(frozenset(Counter(numbers(problem.prompt)).items()), set()).add(problem.key)
        assert all(len(found) == 1 for found in keys.values())


def test_steps_with_and_without_writing_are_the_same_problems():
    keys = [{p.key for p in evaluation_problems(name, 2, 150)} for name in ("steps", "steps_cot")]
    assert keys[0] == keys[1] and len(keys[0]) == 150
    problem = evaluation_problems("steps_cot", 3, 1)[0]
    final = problem.answer.rsplit("=", 1)[1]
    assert SKILLS["steps_cot"].verify(problem, final), "graded on the final answer only"
    assert SKILLS["steps_cot"].verify(problem, f"0+0=0\nanswer: {final}")
    assert not SKILLS["steps_cot"].verify(problem, f"{problem.answer}\n1+1=2001")


def test_verification_ignores_outer_blanks_only():
    problem = Problem("copy", 2, "= a b", " a b", "copy a b")
    assert SKILLS["copy"].verify(problem, "a b ")
    assert not SKILLS["copy"].verify(problem, "ab")


def test_facts_are_two_disjoint_worlds():
    trained, unseen = load_facts(), load_facts("unseen")
    assert len(trained) == len(unseen) == 4_000
    assert trained.groupby(["entity", "relation"]).size().eq(1).all()
    assert trained["entity"].nunique() == unseen["entity"].nunique() == 1_000
    assert not set(trained["entity"]) & set(unseen["entity"])
    for world in (trained, unseen):
        kin = world[world["relation"] == "kin"]
        assert set(kin["value"]) <= set(world["entity"]), "two relations compose"
        assert (kin["value"] != kin["entity"]).all()
        for relation, rows in world.groupby("relation"):
            assert set(rows["value"]) <= set(fact_values(relation, world["world"][0]))
    for relation, size in (("color", 16), ("pet", 16), ("land", 40)):
        values = trained.loc[trained["relation"] == relation, "value"].value_counts()
        assert len(values) == size and values.max() < 3 * values.min() + 10, "no value gives itself away"


def test_facts_are_zipf_distributed():
    facts = load_facts().drop_duplicates("entity")
    assert facts["count"].max() >= 1_500 and facts["count"].min() == 1
    top = facts[facts["rank"] <= 100]
    slope = np.polyfit(np.log(top["rank"]), np.log(top["count"]), 1)[0]
    assert slope == pytest.approx(-1.1, abs=0.01)
    assert load_facts("unseen")["count"].eq(0).all()
    rng = np.random.default_rng(0)
    drawn = Counter(SKILLS["facts"].sample(rng, 1).prompt.split()[0] for _ in range(20_000))
    share = facts["rank"].to_numpy() ** -1.1
    expected = 20_000 * share / share.sum()
    for entity, mean in zip(facts["entity"][:20], expected[:20], strict=True):
        assert abs(drawn[entity] - mean) < 5 * mean**0.5, entity


@pytest.mark.parametrize("spelling", ["fixed", "varied"])
@pytest.mark.parametrize(("family", "world"), [("facts", "trained"), ("facts_unseen", "unseen")])
def test_facts_are_asked_as_the_world_has_them(family: str, world: str, spelling: str):
    table = load_facts(world).set_index(["entity", "relation"])["value"]
    rng = np.random.default_rng(0)
    for _ in range(300):
        problem = SKILLS[family].sample(rng, 1, spelling)
        entity = re.findall(r"[A-Z][a-z]+", problem.prompt)
        relation = re.findall(r"color|pet|land|kin", problem.prompt)
        assert problem.answer == table[entity[0], relation[0]]


def test_evaluated_facts_cover_every_frequency():
    problems = evaluation_problems("facts", 1, 500, seed=3)
    assert len({p.key for p in problems}) == len(problems) == 500
    by_group = Counter(p.group for p in problems)
    sizes = load_facts().groupby("stratum").size()
    assert set(by_group) == set(sizes.index)
    assert all(n == sizes[g] or n > 60 for g, n in by_group.items())
    assert {p.group for p in evaluation_problems("facts_unseen", 1, 50)} == {"never"}


def test_sayings_are_formulas_with_counts():
    sayings = load_sayings()
    assert sayings["start"].is_unique and len(sayings) == 200
    assert (sayings["count"].max(), sayings["count"].min()) == (300, 1)
    table = dict(zip(sayings["start"], sayings["ending"], strict=True))
    rng = np.random.default_rng(0)
    for _ in range(200):
        problem = SKILLS["sayings"].sample(rng, 1, "varied")
        (start,) = (start for start in table if problem.prompt.endswith(start))
        assert problem.answer == table[start]
        instructed = SKILLS["ending"].sample(rng, 1)
        assert instructed.prompt.split(": ")[1] not in table


def test_only_two_forms_have_a_fallacy():
    forms = {p.group: fallacy(p) for p in evaluation_problems("inference", 1, 200)}
    assert forms == {
        "modus ponens": None,
        "modus tollens": None,
        "denying the antecedent": "False",
        "affirming the consequent": "True",
    }
    with pytest.raises(InputError, match=r"problem\.family"):
        fallacy(evaluation_problems("add", 1, 1)[0])


def test_negated_and_plain_questions_are_held_out_together():
    assert not any(is_training(p.key) for p in evaluation_problems("negation", 2, 100))
    assert all(p.key.startswith("compare ") for p in evaluation_problems("negation", 2, 100))


def test_arithmetic_problems_are_a_seeded_source():
    first, again = (ArithmeticProblems(2, ("add", "mod"), seed=5) for _ in range(2))
    problems = first.sample(300)
    assert problems == again.sample(300)
    assert first.sample(300) != problems
    assert Counter(p.family for p in problems)["add"] == pytest.approx(150, abs=45)
    for bad in (
        {"difficulty": 7},
        {"difficulty": 0, "operations": ("mod",)},
        {"difficulty": 1, "operations": ("root",)},
    ):
        with pytest.raises(InputError):
            ArithmeticProblems(**bad)


def test_bad_input_is_refused():
    rng = np.random.default_rng(0)
    for call in (
        lambda: SKILLS["add"].sample(rng, 7),
        lambda: SKILLS["add"].sample(rng, 1, "odd"),
        lambda: SKILLS["add"].sample(0, 1),
        lambda: SKILLS["add"].memory(9),
        lambda: evaluation_problems("divide", 1),
        lambda: evaluation_problems("add", 9),
        lambda: evaluation_problems("add", 1, 0),
        lambda: evaluation_problems("add", 1, 5, seed=-1),
        lambda: load_facts("other"),
        lambda: fact_values("shape"),
    ):
        with pytest.raises(InputError):
            call()
