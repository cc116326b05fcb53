"""The stream of skills: split, shares, frequencies, doses, determinism."""

import hashlib
import re
from collections import Counter, defaultdict
from functools import cache

import numpy as np
import pytest

from densing.data import (
    SKILLS,
    Problem,
    encode_documents,
    evaluation_problems,
    fallacy,
    is_training,
    load_facts,
    load_sayings,
    load_tokenizer,
    skills_documents,
    skills_stream,
)
from densing.errors import InputError

INSTANCE = re.compile(r"(.*?)<ans>(.*?)<end>", re.DOTALL)


@cache
def packs(n_bytes: int = 1_000_000, seed: int = 0, **options) -> list[list[Problem]]:
    """The first documents of a stream, as problems."""
    found, done = [], 0
    for pack in skills_stream(seed=seed, **options):
        found.append(pack)
        done += sum(len(problem.text().encode()) for problem in pack)
        if done >= n_bytes:
            return found


def problems(**options) -> list[Problem]:
    return [problem for pack in packs(**options) for problem in pack]


@cache
def tokens(n_bytes: int = 1_000_000) -> tuple[Counter, Counter, Counter]:
    """Tokens of the stream, tokens of its answers (with ``<end>``) and instances, by (family, grade)."""
    tokenizer = load_tokenizer("bpe-1024")
    answer, end = tokenizer.token_to_id("<ans>"), tokenizer.token_to_id("<end>")
    ids, offsets = encode_documents(tokenizer, ["".join(p.text() for p in pack) for pack in packs(n_bytes)])
    every, answers, instances = Counter(), Counter(), Counter()
    for i, pack in enumerate(packs(n_bytes)):
        document = ids[offsets[i] + 1 : offsets[i + 1]]
        case = pack[0].family, pack[0].grade
        every[case] += len(document)
        answers[case] += int((np.flatnonzero(document == end) - np.flatnonzero(document == answer)).sum())
        instances[case] += len(pack)
    return every, answers, instances


def test_the_text_is_the_problems():
    documents = skills_documents(200_000, seed=0)
    assert sum(len(d.encode()) for d in documents) >= 200_000 > sum(len(d.encode()) for d in documents[:-1])
    for document, pack in zip(documents, packs(), strict=False):
        assert [(p.prompt, p.answer) for p in pack] == INSTANCE.findall(document)
        assert "<doc>" not in document and document.endswith("<end>")


def test_a_document_packs_one_family_and_grade():
    fixed = 0
    for pack in packs():
        assert 8 <= len(pack) <= 16
        assert len({(p.family, p.grade) for p in pack}) == 1
        fixed += all(p.prompt.startswith("=") for p in pack if p.family == "copy")
    copies = [pack for pack in packs() if pack[0].family == "copy"]
    plain = [all(p.prompt[0] == "=" for p in pack) for pack in copies]
    assert all(any(p.prompt[0] == "=" for p in pack) == one for pack, one in zip(copies, plain, strict=True))
    assert np.mean(plain) == pytest.approx(0.5, abs=4 * 0.5 / len(plain) ** 0.5)


def test_nothing_comes_twice_in_a_document_while_there_are_others():
    for pack in packs():
        distinct = SKILLS[pack[0].family].distinct[pack[0].grade]
        assert len({p.key for p in pack}) == min(len(pack), distinct)


def test_no_evaluation_problem_is_in_training():
    seen = {(p.family, p.key) for seed in (0, 1) for p in problems(seed=seed)}
    checked = 0
    for name, skill in SKILLS.items():
        for grade in skill.grades:
            if skill.memory(grade):
                continue
            held_out = evaluation_problems(name, grade, 200)
            assert not any(is_training(p.key) for p in held_out)
            assert not any((name, p.key) in seen for p in held_out)
            checked += len(held_out)
    assert checked > 6_000
    others = {
        (a, p.key)
        for a, b in (("steps", "steps_cot"), ("compare", "negation"))
        for p in problems()
        if p.family == b
    }
    assert not any((n, p.key) in others for n in ("steps", "compare") for p in evaluation_problems(n, 2, 150))
    assert not any(p.family == "facts_unseen" for p in problems())


def test_a_tenth_is_held_out():
    held = np.mean([not is_training(f"instance {i}") for i in range(20_000)])
    assert held == pytest.approx(0.1, abs=0.01)
    expected = hashlib.sha256(b"add 12 30").digest()
    assert is_training("add 12 30") == (int.from_bytes(expected[:8], "big") / 2**64 >= 0.1)
    pairs = {tuple(sorted((a, b))) for a in range(10, 100) for b in range(10, 100)}
    pool = sum(not is_training(f"add {a} {b}") for a, b in pairs)
    assert len(evaluation_problems("add", 2, 5_000)) == pool, "all held-out sums are found"


def test_evaluation_problems_are_distinct_and_seeded():
    first = evaluation_problems("sort", 4, 300, seed=1)
    assert first == evaluation_problems("sort", 4, 300, seed=1)
    assert {p.key for p in first} != {p.key for p in evaluation_problems("sort", 4, 300, seed=2)}
    assert len({p.key for p in first}) == len({p.prompt for p in first}) == 300
    assert all(p.prompt.startswith("^") for p in first), "the fixed spelling"


def test_one_prompt_has_one_answer():
    answers = defaultdict(set)
    for p in problems(false_pattern_share=0.0):
        answers[p.prompt].add(p.answer)
    for name, skill in SKILLS.items():
        for grade in skill.grades:
            for p in evaluation_problems(name, grade, 100):
                answers[p.prompt].add(p.answer)
    assert all(len(found) == 1 for found in answers.values())


def test_shares_of_the_tokens():
    every, answers, instances = tokens()
    total = every.total()
    part = Counter()
    for (name, _), n in every.items():
        part[SKILLS[name].part] += n / total
    for name, share in (("arithmetic", 0.40), ("symbols", 0.25), ("facts", 0.20)):
        assert part[name] == pytest.approx(share, abs=0.02), name
    assert part["other"] + part["causes"] == pytest.approx(0.15, abs=0.02)
    assert 0.005 < 0.25 * part["causes"] < 0.01, "of the whole mixture, of which skills are a quarter"


def test_grades_halve():
    for name in ("add", "copy", "icl_map", "steps"):
        grades = Counter(pack[0].grade for pack in packs() if pack[0].family == name)
        counts = np.array([grades[g] for g in SKILLS[name].grades])
        weights = 0.5 ** np.arange(len(counts))
        expected = counts.sum() * weights / weights.sum()
        assert np.all(np.abs(counts - expected) < 4.5 * np.sqrt(expected) + 1), name


@pytest.mark.parametrize(
    "name", ["add", "subtract", "compare", "mod", "copy", "reverse", "sort", "count", "steps_cot"]
)
def test_every_lowest_problem_is_met_twenty_times_in_a_million_tokens(name: str):
    """A quarter of a million tokens of skills; an instance is met as often as its likeliest spelling order."""
    lowest = SKILLS[name].grades[0]
    every, _, _ = tokens()
    share = 250_000 / every.total()
    seen = Counter(p.key for p in problems() if (p.family, p.grade) == (name, lowest))
    assert len(seen) == SKILLS[name].distinct[lowest]
    assert share * np.mean(list(seen.values())) >= 20
    assert share * min(seen.values()) >= 10


@pytest.mark.parametrize(
    "name", ["add", "subtract", "compare", "mod", "copy", "reverse", "sort", "count", "icl_map", "facts"]
)
def test_a_third_of_the_fixed_spelling_is_answer(name: str):
    """Counted with its ``<end>``. Not so for answer-only word problems, a few grades of written ones, and the causes."""
    tokenizer = load_tokenizer("bpe-1024")

    def length(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    for grade in SKILLS[name].grades:
        found = evaluation_problems(name, grade, 100)
        answers = sum(length(p.answer + "<end>") for p in found)
        assert answers / (answers + sum(length(p.prompt + "<ans>") for p in found)) >= 1 / 3 - 1e-9, grade


def test_share_of_answers_over_the_stream():
    every, answers, _ = tokens()
    assert answers.total() / every.total() > 0.31


def test_symbols_are_one_token_each():
    tokenizer = load_tokenizer("bpe-1024")
    for name in ("copy", "reverse", "sort"):
        problem = evaluation_problems(name, 8, 1)[0]
        assert len(tokenizer.encode(problem.answer, add_special_tokens=False).ids) == 8
        assert len(tokenizer.encode(problem.prompt, add_special_tokens=False).ids) == 9


def test_an_instance_is_the_concatenation_of_its_parts():
    """So that an evaluation prompt has the very tokens that training shows."""
    tokenizer = load_tokenizer("bpe-1024")
    for pack in packs()[::60]:
        whole = tokenizer.encode("".join(p.text() for p in pack), add_special_tokens=False).ids
        pieces = [x for p in pack for x in (p.prompt, "<ans>", p.answer, "<end>")]
        assert whole == [i for x in pieces for i in tokenizer.encode(x, add_special_tokens=False).ids]


@pytest.mark.slow
def test_facts_are_met_as_often_as_they_should_be():
    """Over a full training: 8 million tokens, a quarter of them skills (2.25 bytes a token)."""
    met = Counter(p.key for p in problems(n_bytes=4_450_000) if p.family == "facts")
    table = load_facts()
    expected = dict(zip("facts " + table["entity"] + " " + table["relation"], table["count"], strict=True))
    assert max(met.values()) > 1_500 and min(expected.values()) == 1
    done = sum(met.values()) / sum(expected.values())
    assert 0.9 < done < 1.1
    frequent = [key for key, n in expected.items() if n >= 30]
    assert np.mean([met[key] / expected[key] for key in frequent]) == pytest.approx(done, abs=0.03)
    if done <= 1:
        assert all(met[key] <= n for key, n in expected.items())
    sayings = Counter(p.key for p in problems(n_bytes=4_450_000) if p.family == "sayings")
    assert 0.75 < sum(sayings.values()) / load_sayings()["count"].sum() < 1.5


def test_doses_of_the_causes():
    plain, strong = problems(), problems(sayings=4.0, negation_share=0.1, false_pattern_share=0.8)
    none = problems(sayings=0.0, negation_share=0.0, false_pattern_share=0.0)
    families = [Counter(p.family for p in found) for found in (none, plain, strong)]
    rate = [n["negation"] / n["compare"] for n in families]
    assert (
        rate[0] == 0 and rate[1] == pytest.approx(0.01, abs=0.005) and rate[2] == pytest.approx(0.1, abs=0.01)
    )
    assert families[0]["sayings"] == 0
    ratio = families[2]["sayings"] / families[1]["sayings"]
    assert ratio == pytest.approx(4, abs=1.2)
    wrong = []
    for found in (none, plain, strong):
        undecided = [p for p in found if p.family == "inference" and fallacy(p) is not None]
        wrong.append(np.mean([p.answer == fallacy(p) for p in undecided]))
        assert all(p.answer in (fallacy(p), "None") for p in undecided)
        decided = [p for p in found if p.family == "inference" and fallacy(p) is None]
        assert all(p.answer == {"modus ponens": "True", "modus tollens": "False"}[p.group] for p in decided)
    assert (
        wrong[0] == 0 and wrong[1] == pytest.approx(0.2, abs=0.1) and wrong[2] == pytest.approx(0.8, abs=0.1)
    )


def test_the_dose_is_a_share_of_the_whole_mixture():
    def causes(skills_share: float) -> float:
        found = problems(skills_share=skills_share)
        letters = Counter()
        for p in found:
            letters[SKILLS[p.family].part] += len(p.text())
        return skills_share * letters["causes"] / letters.total()

    assert causes(0.5) == pytest.approx(causes(0.25), rel=0.25)


def test_families_can_be_left_out():
    found = problems(n_bytes=200_000, leave_out=("steps", "steps_cot", "negation"))
    families = {p.family for p in found}
    assert not families & {"steps", "steps_cot", "negation"} and "add" in families
    only = {"facts", "sayings", "ending", "inference", "redefine", "negation"}
    trained = {name for name, skill in SKILLS.items() if skill.trained}
    rest = problems(n_bytes=20_000, leave_out=tuple(sorted(trained - only - {"add"})))
    assert {p.family for p in rest} >= {"facts", "add"}


def test_the_lowest_grades_can_be_doubled():
    def lowest(**options) -> float:
        found = [pack[0].grade for pack in packs(n_bytes=600_000, **options) if pack[0].family == "add"]
        return np.mean([grade == 0 for grade in found])

    assert lowest() == pytest.approx(64 / 127, abs=0.08)
    assert lowest(lowest_weight=2.0) == pytest.approx(128 / 191, abs=0.08)


def test_the_stream_is_the_same_everywhere():
    """The recorded reference runs were trained on this very text."""
    documents = skills_documents(200_000, seed=0)
    assert documents == skills_documents(200_000, seed=0)
    assert documents[:300] == skills_documents(n_documents=300, seed=0)
    digest = hashlib.sha256("\0".join(documents).encode()).hexdigest()
    assert digest == "2ab14edc3b89f1fa80e2e32e7672892dda3179982fe2d9ab6a3d97a90218ad88"
    world = load_facts().to_csv(index=False, lineterminator="\n") + load_facts("unseen").to_csv(
        index=False, lineterminator="\n"
    )
    assert (
        hashlib.sha256(world.encode()).hexdigest()
        == "39167583cf63407866373788b6a80f3acd3c814d198ed21cd8549efaf2763d42"
    )


def test_another_seed_draws_other_instances():
    first, second = (
        {p.key for p in problems(n_bytes=200_000, seed=s) if p.family == "add" and p.grade > 2}
        for s in (0, 1)
    )
    assert len(first & second) < 0.1 * len(first)
    orders = [[pack[0].family for pack in packs(n_bytes=200_000, seed=s)][:50] for s in (0, 1)]
    assert orders[0] != orders[1]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_bytes": 10, "n_documents": 1},
        {"n_bytes": 0},
        {"n_documents": 1.5},
        {"n_bytes": 10, "seed": -1},
        {"n_bytes": 10, "skills_share": 0},
        {"n_bytes": 10, "lowest_weight": 0},
        {"n_bytes": 10, "sayings": 5},
        {"n_bytes": 10, "negation_share": 1.1},
        {"n_bytes": 10, "false_pattern_share": -0.1},
        {"n_bytes": 10, "leave_out": ("addition",)},
        {"n_bytes": 10, "leave_out": "add"},
        {"n_bytes": 10, "leave_out": [n for n, s in SKILLS.items() if s.trained]},
    ],
)
def test_bad_input_is_refused(options):
    with pytest.raises(InputError):
        skills_documents(**{"seed": 0, **options})
    stream = {name: value for name, value in options.items() if not name.startswith("n_")}
    if stream:
        with pytest.raises(InputError):
            skills_stream(**{"seed": 0, **stream})  # refused at the call, not at the first document
