from itertools import product

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from densing.evaluation import exact_pass_probability
from densing.models import Decoder, DecoderConfig

DOC, ANS, A, B, END = range(5)
LONGEST = 4


@pytest.fixture(scope="module")
def model():
    model = Decoder(DecoderConfig(5, 8, 1, 2, context=8), seed=3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8.0 if weight.ndim == 2 else 1.0)  # far from uniform
    return model


def answers() -> list[tuple[int, ...]]:
    """Everything that sampling can give in at most LONGEST tokens: ended answers, and those cut off."""
    ended = [(*body, END) for n in range(LONGEST) for body in product((DOC, ANS, A, B), repeat=n)]
    return ended + list(product((DOC, ANS, A, B), repeat=LONGEST))


def sampled(model, prompt: list[int], count: int) -> dict[tuple[int, ...], int]:
    """How often ancestral sampling at temperature 1 gives each answer."""
    rng = np.random.default_rng(11)
    drawn: list[tuple[int, ...]] = [()]  # the strings drawn so far, and which of them each sample is
    which = np.zeros(count, int)
    for _ in range(LONGEST):
        with torch.no_grad():
            logits = [model(torch.tensor([[*prompt, *body]]))[0, -1].double() for body in drawn]
        cumulative = torch.stack(logits).softmax(-1).cumsum(-1).numpy()
        token = (cumulative[which] < rng.random((count, 1))).sum(axis=1).clip(max=END)
        token[[END in drawn[i] for i in which]] = END
        longer = [(*body, k) for body in drawn for k in range(END + 1)]
        kept, which = np.unique(which * (END + 1) + token, return_inverse=True)
        drawn = [longer[i] for i in kept]
    cut = [body[: body.index(END) + 1] if END in body else body for body in drawn]
    return dict(zip(cut, np.bincount(which).tolist(), strict=True))


def test_probabilities_of_all_answers_sum_to_one_and_are_the_frequencies_of_samples(model):
    prompt, every, count = [DOC, A, B, ANS], answers(), 200_000
    exact = exact_pass_probability(model, [prompt] * len(every), every)
    assert exact.shape == (len(every),) and exact.sum() == pytest.approx(1, abs=1e-5)
    assert exact.max() > 4 * np.median(exact)
    frequency = sampled(model, prompt, count)
    tested = [int(i) for i in np.argsort(exact)[[-1, -2, -5, -20, len(exact) // 2]]]
    for i in tested:
        interval = binomtest(frequency.get(tuple(every[i]), 0), count).proportion_ci(0.999)
        assert interval.low <= exact[i] <= interval.high
    # the other answers of a sample this large: distance in total variation is noise
    observed = np.array([frequency.get(tuple(answer), 0) for answer in every]) / count
    assert np.abs(observed - exact).sum() < 4 * np.sqrt(exact / count).sum()


def test_without_its_end_mark_an_answer_is_a_prefix_and_too_likely(model):
    prompt = [DOC, ANS]
    longer = exact_pass_probability(model, [prompt] * 5, [(A, t) for t in range(5)]).sum()
    assert exact_pass_probability(model, [prompt], [(A,)])[0] == pytest.approx(longer, rel=1e-5)
    assert exact_pass_probability(model, [prompt], [(A, END)])[0] < longer


def test_logarithms_do_not_underflow(model):
    prompt, answer = [DOC], [A, B, ANS, A, B, ANS, A, END]
    log = exact_pass_probability(model, [prompt], [answer], log=True)
    assert np.exp(log) == pytest.approx(exact_pass_probability(model, [prompt], [answer]))


@pytest.mark.parametrize(
    "prompts, given, message",
    [
        ([[DOC]], [], "answers: 0 for 1 prompts"),
        ([[]], [[END]], "prompts: item 0 is empty"),
        ([[DOC], [DOC]], [[END], []], "answers: item 1 is empty"),
        ([[DOC] * 9], [[END]], "the model reads 8"),
    ],
)
def test_refusals(model, prompts, given, message):
    with pytest.raises(ValueError, match=message):
        exact_pass_probability(model, prompts, given)
