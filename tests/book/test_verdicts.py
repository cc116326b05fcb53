"""Criteria and claims: what is allowed in them, and what they decide."""

import math
from dataclasses import replace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from densing.book import Claim, criterion_hash, decide, ledger_rows, load_claims
from densing.errors import InputError

CRITERION = {
    "text": "In [2, 3]; partly above 1.",
    "reproduced": "x_lower <= 2.5 and x_upper >= 2.5 and n >= 3",
    "partly": "x > 1",
    "not_at_this_scale": "n < 2",
}


def make_claim(claim_id="a/b", chapter="a", criterion=CRITERION, **changes) -> Claim:
    fields = dict(
        id=claim_id, system=1, chapter=chapter, claim="A claim for tests.", published={"value": 2, "unit": "1", "text": "2"},
        source={"cite": None, "where": "here"}, measured="A number of the test.",
        quantities={"x": {"unit": "1", "text": "x"}, "n": {"unit": "1", "text": "n"}},
        criterion=criterion, registered="2026-11-22", hash=criterion_hash(criterion),
    )  # fmt: skip
    return Claim(**fields | changes)


def measured(x=2.4, lower=2.2, upper=2.6, n=5):
    return {"x": {"value": x, "lower": lower, "upper": upper, "level": 0.95}, "n": {"value": n}}


@pytest.mark.parametrize(
    ("measurement", "verdict"),
    [
        (measured(), "reproduced"),
        (measured(lower=2.55), "partly"),
        (measured(x=0.5, lower=0.4, upper=0.6), "not reproduced"),
        (measured(n=1), "not at this scale"),
        (None, "not yet measured"),
    ],
)
def test_each_verdict_is_reached(measurement, verdict):
    assert decide(make_claim(), measurement) == verdict


def test_a_pending_claim_has_no_verdict_even_when_measured():
    assert decide(make_claim(pending="waits for another chapter"), measured()) == "pending"


def test_an_undefined_number_satisfies_no_criterion():
    criterion = {"text": "Anything but one.", "reproduced": "x != 1", "partly": "not x > 1"}
    for undefined in (None, math.nan):
        assert decide(make_claim(criterion=criterion), measured(x=undefined)) == "not reproduced"


def test_a_criterion_that_needs_an_interval_says_so():
    with pytest.raises(InputError, match="x_lower.*interval"):
        decide(make_claim(), {"x": {"value": 2.4}, "n": {"value": 5}})


@pytest.mark.parametrize("wrong", [{"x": {"value": 1}}, measured() | {"y": {"value": 1}}])
def test_other_quantities_than_the_registered_are_refused(wrong):
    with pytest.raises(InputError, match="quantities are x, n"):
        decide(make_claim(), wrong)


@given(st.floats(0, 5), st.floats(0, 5), st.integers(0, 6), st.booleans())
def test_the_ledger_is_a_pure_function_that_changes_row_by_row(x, other, n, reproduced_first):
    claims = [make_claim(f"{c}/claim", c) for c in "pqr"]
    results = [
        {"chapter": c, "measurements": {f"{c}/claim": measured(x=x, lower=x - 0.1, upper=x + 0.1, n=n)}}
        for c in "pqr"
    ]
    before = [row.verdict for row in ledger_rows(claims, results)]
    assert before == [row.verdict for row in ledger_rows(claims, results)]
    flipped = [
        results[0],
        {"chapter": "q", "measurements": {"q/claim": measured(other, other, other, 6)}},
        results[2],
    ]
    after = [row.verdict for row in ledger_rows(claims, flipped)]
    assert after[0] == before[0] and after[2] == before[2]
    assert after[1] == decide(claims[1], measured(other, other, other, 6))
    criterion = {"text": "All.", "reproduced": "n >= 0" if reproduced_first else "n < 0"}
    changed = [claims[0], replace(claims[1], criterion=criterion), claims[2]]
    after = [row.verdict for row in ledger_rows(changed, results)]
    assert after[1] == ("reproduced" if reproduced_first else "not reproduced")
    assert after[0] == before[0] and after[2] == before[2]


def test_the_ledger_refuses_a_measurement_of_another_chapters_claim():
    with pytest.raises(InputError, match="not a claim registered for this chapter"):
        ledger_rows([make_claim()], [{"chapter": "other", "measurements": {"a/b": measured()}}])


def as_entry(claim: Claim) -> dict:
    entry = {k: v for k, v in vars(claim).items() if v is not None and k not in ("history", "show")}
    return entry


def write(tmp_path, *entries):
    path = tmp_path / "claims.yml"
    path.write_text(yaml.safe_dump(list(entries), sort_keys=False))
    return path


def test_claims_are_read_back(tmp_path):
    claims = load_claims(write(tmp_path, as_entry(make_claim()), as_entry(make_claim("a/c"))))
    assert [c.id for c in claims] == ["a/b", "a/c"]
    assert claims[0].criterion == CRITERION


@pytest.mark.parametrize(
    ("expression", "word"),
    [
        ("x > 1 and y < 2", "unknown name 'y'"),
        ("x.real > 1", "Attribute"),
        ("abs(x) > 1", "abs"),
        ("__import__('os')", "__import__"),
        ("[x][0] > 1", "Subscript|List"),
        ("x if n else n", "IfExp"),
        ("x == 'big'", "Constant"),
        ("x >", "not an expression"),
        ("(lambda: x)()", "Call|Lambda"),
    ],
)
def test_an_expression_may_only_compare_and_calculate(tmp_path, expression, word):
    criterion = {"text": "Bad.", "reproduced": expression}
    with pytest.raises(InputError, match=word):
        load_claims(write(tmp_path, as_entry(make_claim(criterion=criterion))))


def test_a_changed_criterion_is_refused_until_its_hash_says_so(tmp_path):
    entry = as_entry(make_claim())
    entry["criterion"] = CRITERION | {"partly": "x > 0.1"}
    with pytest.raises(InputError, match="hash"):
        load_claims(write(tmp_path, entry))


@pytest.mark.parametrize("key", ["verdict", "result", "reproduced"])
def test_a_claim_has_no_place_for_a_verdict(tmp_path, key):
    with pytest.raises(InputError, match=key):
        load_claims(write(tmp_path, as_entry(make_claim()) | {key: "reproduced"}))


def test_an_id_stands_once(tmp_path):
    with pytest.raises(InputError, match="stands twice"):
        load_claims(write(tmp_path, as_entry(make_claim()), as_entry(make_claim())))
