import hashlib
import re
from collections import Counter

import numpy as np
import pytest

from densing.data import documents, load_facts, load_tokenizer
from densing.evaluation import CHOICE_FAMILIES, choice_items, encode_choices
from densing.evaluation.capability.contamination import seen_in
from densing.evaluation.capability.text_questions import _brackets

TEXT_FAMILIES = ("doc_next", "doc_match", "code_close")


@pytest.fixture(scope="module")
def tokenizer(built_corpus):
    return load_tokenizer("bpe-1024")


@pytest.mark.slow
@pytest.mark.parametrize("family", CHOICE_FAMILIES)
def test_questions_are_well_formed_and_short(family, tokenizer):
    items = choice_items(family, 2_000)
    assert len(items) == 2_000 == len({item.item for item in items})
    place = Counter(item.correct for item in items)
    assert sorted(place) == [0, 1, 2, 3] and max(place.values()) < 500 + 4 * np.sqrt(2_000 * 0.25 * 0.75)
    for item in items:
        assert item.family == family and len(set(item.choices)) == 4
        assert item.item.startswith(f"{family}-{item.grade}-")
    for question in encode_choices(tokenizer, items):
        assert len(question.prompt) <= 64 and max(map(len, question.choices)) <= 30


@pytest.mark.slow
@pytest.mark.parametrize("family", CHOICE_FAMILIES)
def test_fewer_questions_or_choices_are_the_same_questions(family, built_corpus):
    few, more = choice_items(family, 50), choice_items(family, 300)
    eight = {item.item: item for item in choice_items(family, 50, choices=8)}
    assert set(few) <= set(more)
    for item in few:
        wide = eight[item.item]
        assert len(set(wide.choices)) == 8 and set(item.choices) < set(wide.choices)
        assert wide.choices[wide.correct] == item.choices[item.correct]
    assert {item.item for item in choice_items(family, 50, seed=1)} != {item.item for item in few}


def registered(family: str) -> str:
    return hashlib.sha256("\n".join(map(repr, choice_items(family, 2_000))).encode()).hexdigest()[:16]


@pytest.mark.slow
def test_the_questions_are_the_registered_ones(built_corpus):
    assert {family: registered(family) for family in CHOICE_FAMILIES} == REGISTERED


REGISTERED = {
    "doc_next": "b4049da26a0dc4b9",
    "doc_match": "f87aad84b6c81c2b",
    "fact_recall": "14bb646fd75eef0c",
    "fact_hop": "ab9d0faf85ecc0b7",
    "arith_choice": "d9709f1e48730992",
    "code_close": "983dd71b5f2de107",
}


@pytest.mark.slow
def test_choices_of_text_are_of_like_length_and_from_other_documents(built_corpus):
    for family in ("doc_next", "doc_match"):
        items = choice_items(family, 5_000)
        sources: dict[str, set[str]] = {}
        for item in items:
            sources.setdefault(item.choices[item.correct], set()).add(item.group)
        assert max(Counter(item.group for item in items).values()) <= 2
        shared = 0
        for item in items:
            lengths = [len(choice) for choice in item.choices]
            assert max(lengths) - min(lengths) <= 4
            wrong = [choice for choice in item.choices if choice != item.choices[item.correct]]
            shared += any(item.group in sources.get(choice, ()) for choice in wrong)
        # a sentence that two documents share may be among the wrong ones of a third question of one of them
        assert shared <= len(items) / 500


@pytest.mark.slow
def test_no_thirteen_words_of_a_text_question_are_in_training(built_corpus):
    words = {
        family: [re.findall(r"\w+", (q.prompt + q.choices[q.correct]).lower()) for q in choice_items(family, 5_000)]
        for family in ("doc_next", "doc_match")
    }  # fmt: skip
    asked = {tuple(w[i : i + 13]) for own in words.values() for w in own for i in range(len(w) - 12)}
    starts = {run[:2] for run in asked}
    assert len(asked) > 5_000
    found, runs = 0, 0
    for document in documents("train"):
        w = re.findall(r"\w+", document.text.lower())
        for i, pair in enumerate(zip(w, w[1:], strict=False)):
            if pair in starts:
                runs += 1
                found += tuple(w[i : i + 13]) in asked
    assert runs > 100_000 and found == 0


def test_a_run_of_words_from_training_is_found():
    text = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    training = ["nothing here", "ONE " + text.upper().replace(" ", ", ") + " and more"]
    assert seen_in([text, text[4:], "zero " + text[14:], "short", ""], training).tolist() == [
        True, True, False, False, False
    ]  # fmt: skip
    assert seen_in([text], [text.replace("seven", "7")]).tolist() == [False]
    assert seen_in([text], [text.replace("seven", "7")], words=6).tolist() == [True]


@pytest.mark.slow
def test_brackets_close_what_the_prompt_opened(built_corpus):
    items = choice_items("code_close", 2_000)
    right = Counter(item.choices[item.correct] for item in items)
    wrong = Counter(choice for item in items for choice in item.choices)
    assert len(right) == 6 and all(abs(4 * right[e] / wrong[e] - 1) < 0.2 for e in right)
    checked = 0
    for item in items:
        if re.search(r"[\"'#]", item.prompt):
            continue
        opened = []
        for sign in item.prompt:
            if sign in "([{":
                opened.append(sign)
            elif sign in ")]}" and opened:
                opened.pop()
        closing = "".join(dict(zip("([{", ")]}", strict=True))[sign] for sign in opened[:-3:-1])
        assert item.choices[item.correct] == closing, item
        checked += 1
    assert checked > 1_000


def test_brackets_in_strings_do_not_count():
    code = "f(g[')]'], f'{x[1]}', {1: (2)})"
    assert [(code[start], code[at], sign) for start, at, sign in _brackets(code)] == [
        ("[", "]", "]"), ("(", ")", ")"), ("{", "}", "}"), ("(", ")", ")")
    ]  # fmt: skip
    assert list(_brackets("f(]")) == [] and list(_brackets("f('")) == []


def test_facts_are_the_worlds_and_a_hop_needs_two():
    facts = load_facts()
    value = {(row.entity, row.relation): row.value for row in facts.itertuples()}
    stratum = {(row.entity, row.relation): row.stratum for row in facts.itertuples()}
    for item in choice_items("fact_recall", 500):
        entity, relation = item.prompt.removesuffix("<ans>").split()
        assert item.choices[item.correct] == value[entity, relation] + "<end>"
        assert item.group == stratum[entity, relation]
    strata = Counter(item.group for item in choice_items("fact_recall", 500))
    assert set(strata) == set(facts["stratum"]) and strata["128-511"] >= 20
    for item in choice_items("fact_hop", 500):
        entity, kin, relation = item.prompt.removesuffix("<ans>").split()
        assert item.choices[item.correct] == value[value[entity, kin], relation] + "<end>"
        assert value[entity, relation] + "<end>" not in item.choices


def test_sums_have_one_digit_wrong_and_the_right_one_is_not_in_the_middle():
    items = choice_items("arith_choice", 2_000)
    rank = Counter()
    for item in items:
        left, right = item.prompt.removesuffix("<ans>").split("+")
        total = str(int(left) + int(right))
        choices = [choice.removesuffix("<end>") for choice in item.choices]
        assert choices[item.correct] == total
        for choice in choices:
            assert len(choice) == len(total)
            assert sum(a != b for a, b in zip(choice, total, strict=True)) == (choice != total)
        rank[sorted(choices).index(total)] += 1
    assert min(rank.values()) > 500 - 4 * np.sqrt(2_000 * 0.25 * 0.75)


def test_refusals():
    for given, message in (
        ({"family": "doc_last"}, "family = 'doc_last'"),
        ({"family": "arith_choice", "choices": 3}, "choices = 3"),
        ({"family": "arith_choice", "count": 0}, "count = 0"),
        ({"family": "arith_choice", "seed": -1}, "seed = -1"),
    ):
        with pytest.raises(ValueError, match=message):
            choice_items(**given)
