"""Graphs of word problems: exact solution, graders of written solutions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from densing.data import ProblemGraph, Relation, check_steps, parse_answer, solve
from densing.errors import InputError

SHOP = (
    Relation("Ann", "given", 5),
    Relation("Ben", "more", 3, ("Ann",)),
    Relation("Cy", "times", 2, ("Ben",)),
    Relation("Dot", "fewer", 9, ("Cy",)),
    Relation("all", "total", sources=("Ann", "Ben", "Cy")),
)


def test_only_the_needed_steps_are_written():
    solution = solve(ProblemGraph(SHOP, "Dot"))
    assert (solution.value, solution.steps) == (7, ("5+3=8", "8*2=16", "16-9=7"))
    assert "all" not in solution.values
    assert solve(ProblemGraph(SHOP, "all")).steps[-1] == "5+8+16=29"
    assert solve(ProblemGraph(SHOP, "Ann")).steps == ()


def test_the_order_of_telling_and_distractors_do_not_matter():
    assert solve(ProblemGraph(SHOP[::-1], "Dot")).value == 7
    more = (*SHOP, Relation("Eve", "more", 40, ("Dot",)))
    assert solve(ProblemGraph(more, "Dot")) == solve(ProblemGraph(SHOP, "Dot"))


@given(
    st.integers(0, 99),
    st.lists(st.tuples(st.sampled_from(["more", "fewer", "times"]), st.integers(0, 12)), max_size=6),
)
def test_a_chain_is_solved_as_arithmetic_has_it(start, changes):
    relations, expected = [Relation("q0", "given", start)], start
    for i, (kind, amount) in enumerate(changes):
        relations.append(Relation(f"q{i + 1}", kind, amount, (f"q{i}",)))
        expected = {"more": expected + amount, "fewer": expected - amount, "times": expected * amount}[kind]
    solution = solve(ProblemGraph(tuple(relations), f"q{len(changes)}"))
    assert solution.value == expected
    written = "\n".join(solution.steps)
    assert check_steps(written) == [True] * len(changes)
    assert parse_answer(f"{written}\nanswer: {solution.value}") == expected
    if changes:
        assert parse_answer(written) == expected
        wrong = "\n".join([*solution.steps[:-1], solution.steps[-1] + "1"])
        assert check_steps(wrong)[-1] is False and parse_answer(wrong) != expected


@pytest.mark.parametrize(
    ("text", "answer", "right"),
    [
        ("5+3=8", 8, [True]),
        ("5+3=9\n9-2=7", 7, [False, True]),
        ("8 * 2 = 16\nAnswer: 16", 16, [True]),
        ("12", 12, [False]),
        ("-3", -3, [False]),
        ("5+3", None, [False]),
        ("", None, []),
        ("answer: many", None, [False]),
        ("5+3=8 apples", None, [False]),
        ("1+2+3=6", 6, [True]),
    ],
)
def test_written_solutions_are_graded(text, answer, right):
    assert parse_answer(text) == answer
    assert check_steps(text) == right


@pytest.mark.parametrize(
    "make",
    [
        lambda: Relation("a", "half", 1, ("b",)),
        lambda: Relation("a", "more", 1),
        lambda: Relation("a", "total", sources=("b",)),
        lambda: ProblemGraph((SHOP[0], SHOP[0]), "Ann"),
        lambda: ProblemGraph(SHOP, "Zoe"),
        lambda: solve(ProblemGraph((SHOP[1],), "Ben")),
        lambda: solve(
            ProblemGraph((Relation("a", "more", 1, ("b",)), Relation("b", "more", 1, ("a",))), "a")
        ),
    ],
)
def test_graphs_without_a_solution_are_refused(make):
    with pytest.raises(InputError):
        make()
