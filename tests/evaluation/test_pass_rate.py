import itertools

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from densing.data import SKILLS, evaluation_problems, train_bpe
from densing.errors import InputError
from densing.evaluation import (
    PassRecord,
    exact_pass_probability,
    exact_passes,
    pass_at_k,
    pass_rate,
    pass_until,
    problem_name,
    sampled_passes,
)
from densing.models import Decoder, DecoderConfig


def coin(p):
    return lambda count, rng: (rng.random(count) < p).tolist()


def records(p, count, **options):
    return [pass_until(coin(p), bool, seed=seed, **options) for seed in range(count)]


# Drawing


@pytest.mark.parametrize("batch", [1, 7, 512])
def test_what_follows_the_last_pass_in_a_batch_is_not_counted(batch):
    draws = iter([False, True, False, False, True, *[True] * 10_000])
    found = pass_until(
        lambda count, rng: [next(draws) for _ in range(count)], bool, passes=2, max_samples=100, batch=batch
    )
    assert found == PassRecord(2, 5, False)


def test_the_cap_ends_what_the_passes_do_not():
    found = pass_until(coin(0.0), bool, passes=3, max_samples=137, instance="hard")
    assert found == PassRecord(0, 137, True, "hard")
    at_the_cap = iter([False] * 99 + [True])
    assert pass_until(
        lambda count, rng: [next(at_the_cap) for _ in range(count)], bool, passes=1, max_samples=100
    ) == PassRecord(1, 100, False)


@pytest.mark.parametrize("batch", [1, 16, 512])
def test_the_waiting_time_is_the_negative_binomials_whatever_the_batch(batch):
    samples = np.array([r.samples for r in records(0.1, 1_500, passes=3, max_samples=10_000, batch=batch)])
    assert samples.mean() == pytest.approx(30, abs=4 * np.sqrt(3 * 0.9 / 0.01 / 1_500))
    assert samples.var() == pytest.approx(270, rel=0.2)


def test_an_estimate_that_forgets_the_stopping_rule_is_biased():
    drawn = records(0.1, 3_000, passes=2, max_samples=100_000)
    fair = np.array([(r.passes - 1) / (r.samples - 1) for r in drawn])
    naive = np.array([r.passes / r.samples for r in drawn])
    error = fair.std() / np.sqrt(len(fair))
    assert abs(fair.mean() - 0.1) < 4 * error and naive.mean() - 0.1 > 8 * error
    assert pass_rate(drawn, "unbiased").value == pytest.approx(fair.mean())
    assert pass_rate(drawn).value == pytest.approx(naive.mean())


def test_expected_samples_of_the_exercise():
    drawn = records(1e-2, 300, passes=10, max_samples=100_000)
    assert np.mean([r.samples for r in drawn]) == pytest.approx(1_000, rel=0.08)


def test_a_verifier_that_raises_is_heard_with_the_instance():
    def broken(completion):
        raise KeyError("no answer")

    with pytest.raises(KeyError) as caught:
        pass_until(coin(0.5), broken, instance="add-2-17")
    assert "add-2-17" in caught.value.__notes__[0]


# Rates


def test_one_record_has_an_exact_interval():
    found = pass_rate(PassRecord(1, 1_000, False), level=0.9)
    assert found.value == 1e-3 and found.level == 0.9
    assert found.lower == pytest.approx(1 - 0.95 ** (1 / 1_000))
    assert found.upper == pytest.approx(1 - 0.05 ** (1 / 999))
    assert pass_rate(PassRecord(0, 50, True)).lower == 0


@pytest.mark.parametrize("n, c, k", [(5, 2, 3), (10, 0, 4), (10, 10, 1), (6, 4, 3), (8, 1, 8)])
def test_pass_at_k_counts_subsets(n, c, k):
    passed = [True] * c + [False] * (n - c)
    every = list(itertools.combinations(passed, k))
    assert pass_at_k(n, c, k) == pytest.approx(np.mean([any(some) for some in every]))


def test_pass_at_k_is_unbiased():
    rng = np.random.default_rng(0)
    c = rng.binomial(20, 0.1, 50_000)
    assert pass_at_k(20, c, 5).mean() == pytest.approx(1 - 0.9**5, abs=0.004)
    plug_in = 1 - (1 - c / 20) ** 5
    assert plug_in.mean() < 1 - 0.9**5 - 0.02
    assert pass_at_k(10**6, 1, 10) == pytest.approx(1e-5)


# A decoder answers


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe(["one two three = 0 1 2 3 4 5 6 7 8 9 + - copy" * 3], 300)


@pytest.fixture(scope="module")
def model(tokenizer):
    model = Decoder(DecoderConfig(tokenizer.get_vocab_size(), 16, 1, 2, context=64), seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
    return model


def test_samples_pass_as_often_as_the_exact_probability_says(tokenizer):
    problems = evaluation_problems("count", 3, 12, 0)
    model = _taught(tokenizer, problems, steps=25)
    exact = exact_passes(model, tokenizer, problems)
    found = sampled_passes(model, tokenizer, problems, passes=100, max_samples=20_000, seed=1)
    assert found["instance"].tolist() == exact["instance"].tolist() == [problem_name(p) for p in problems]
    assert found["passes"].sum() > 100 and found["samples"].min() > 110
    level = 1 - 0.001 / len(found)
    for row, log_p in zip(found.itertuples(), exact["log_p"], strict=True):
        rate = pass_rate(PassRecord(row.passes, row.samples, row.censored), level=level)
        assert rate.lower <= np.exp(log_p) <= rate.upper


def test_exact_blind_and_greedy_are_what_they_are_called(model, tokenizer):
    problems = evaluation_problems("add", 2, 7, 0)
    found = exact_passes(model, tokenizer, problems)

    def ids(text):
        return np.array(tokenizer.encode(text, add_special_tokens=False).ids)

    for i, j in ((0, 1), (1, 0), (6, 5)):
        answer = ids(problems[i].answer + "<end>")
        prompts = [ids(f"<doc>{problems[k].prompt}<ans>") for k in (i, j)]
        expected = exact_pass_probability(model, prompts, [answer, answer], log=True)
        assert found.loc[i, ["log_p", "blind_log_p"]].tolist() == pytest.approx(expected.tolist())
    assert not found["greedy"].any()
    certain = evaluation_problems("compare", 1, 6, 0)
    taught = _taught(tokenizer, certain)
    assert exact_passes(taught, tokenizer, certain)["greedy"].all()


def _taught(tokenizer, problems, steps=200):
    """A small decoder that knows these answers by heart, or has begun to learn them."""
    model = Decoder(DecoderConfig(tokenizer.get_vocab_size(), 32, 2, 2, context=64), seed=0)
    rows = [tokenizer.encode(f"<doc>{p.text()}", add_special_tokens=False).ids for p in problems]
    windows = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for i, row in enumerate(rows):
        windows[i, : len(row)] = torch.tensor(row)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        model.loss(windows).backward()
        optimizer.step()
    return model


def test_the_familys_own_check_reads_the_text(tokenizer):
    problems = evaluation_problems("compare", 1, 4, 0)
    taught = _taught(tokenizer, problems)
    options = {"passes": 5, "max_samples": 200}
    whole = sampled_passes(taught, tokenizer, problems, verify="family", **options)
    token = sampled_passes(taught, tokenizer, problems, **options)
    assert (whole["passes"] == 5).all() and (token["passes"] == 5).all()
    assert (whole["samples"] < 20).all() and (token["samples"] < 20).all()
    wrong = [type(p)(p.family, p.grade, p.prompt, "9", p.key) for p in problems]
    assert (sampled_passes(taught, tokenizer, wrong, verify="family", **options)["passes"] <= 1).all()


def test_a_sample_that_left_the_answer_is_not_finished(model, tokenizer):
    problems = evaluation_problems("copy", 4, 3, 0)
    found = sampled_passes(model, tokenizer, problems, max_samples=500)
    assert found["censored"].all() and (found["tokens"] < 1.3 * found["samples"]).all()


def test_the_same_seed_gives_the_same_counts(model, tokenizer):
    problems = evaluation_problems("compare", 1, 5, 0)
    options = {"passes": 3, "max_samples": 500, "seed": 4}
    first, again = (sampled_passes(model, tokenizer, problems, **options) for _ in range(2))
    alone = sampled_passes(model, tokenizer, problems[3:4], **options)
    assert first.equals(again) and first.iloc[3].tolist() == alone.iloc[0].tolist()


# Bad input


@pytest.mark.parametrize(
    "wrong",
    [{"passes": 0}, {"passes": 101}, {"max_samples": 9}, {"batch": 0}, {"passes": 50, "max_samples": 20}],
)
def test_bad_numbers_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        pass_until(coin(0.5), bool, **wrong)


def test_other_bad_input_is_refused(model, tokenizer):
    problems = evaluation_problems("compare", 1, 4, 0)
    with pytest.raises(InputError, match="True or False"):
        pass_until(coin(0.5), lambda completion: None)
    with pytest.raises(InputError, match="asked for"):
        pass_until(lambda count, rng: [True], bool)
    with pytest.raises(InputError, match="passes of at least 2"):
        pass_rate([PassRecord(1, 7, False)], "unbiased")
    with pytest.raises(InputError, match="greedy decoding has no pass rate"):
        sampled_passes(model, tokenizer, problems, temperature=0)
    with pytest.raises(InputError, match="top_p"):
        exact_passes(model, tokenizer, problems, top_p=0.9)
    with pytest.raises(InputError, match="one family"):
        exact_passes(model, tokenizer, [*problems, *evaluation_problems("add", 2, 1, 0)])
    for bad in ((5, 6, 1), (5, 2, 6), (0, 0, 1), (5, 1.5, 1)):
        with pytest.raises(InputError):
            pass_at_k(*bad)
    for bad in ((2, 1, False), (0, 5, False), (1, 0, True)):
        with pytest.raises(InputError):
            PassRecord(*bad)


def test_every_generation_family_can_be_named():
    for family, skill in SKILLS.items():
        if skill.kind == "generation":
            first, *_ = evaluation_problems(family, skill.grades[-1], 1, 0)
            assert problem_name(first).startswith(f"{family}-{skill.grades[-1]}-")


def test_binomial_peer_of_a_fixed_number():
    found = pass_rate(PassRecord(7, 60, True))
    peer = binomtest(7, 60).proportion_ci(0.95)
    assert (found.lower, found.upper) == pytest.approx((peer.low, peer.high))
