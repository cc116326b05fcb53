import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from densing.data import TokenCounts
from densing.evaluation import bits_per_character, document_losses, unigram_normalized_loss
from densing.models import Decoder, DecoderConfig

probability = st.floats(0.05, 0.95)


@given(st.lists(st.integers(0, 9), min_size=20, max_size=200))
def test_a_unigram_model_scores_zero(tokens):
    logprob = TokenCounts.from_ids(np.array(tokens), 10).unigram_logprob()
    assert unigram_normalized_loss(-logprob[tokens], np.array(tokens), logprob) == pytest.approx(0, abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(stay=st.tuples(probability, probability), seed=st.integers(0, 1_000))
def test_the_true_markov_chain_scores_minus_its_mutual_information(stay, seed):
    transition = np.array([[stay[0], 1 - stay[0]], [1 - stay[1], stay[1]]])
    stationary = np.array([1 - stay[1], 1 - stay[0]]) / (2 - stay[0] - stay[1])
    information = (stationary[:, None] * transition * np.log(transition / stationary)).sum()
    rng = np.random.default_rng(seed)
    n = 40_000
    uniform, chain = rng.random(n), np.zeros(n, int)
    for i in range(1, n):
        chain[i] = uniform[i] > transition[chain[i - 1], 0]
    nll = -np.log(transition[chain[:-1], chain[1:]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        loss = unigram_normalized_loss(nll, chain[1:], np.log(stationary))
    spread = (
        np.std(nll + np.log(stationary)[chain[1:]]) * np.sqrt(40 / n) + 1e-3
    )  # correlated: 40 steps count as one
    assert loss == pytest.approx(-information, abs=5 * spread)


def test_bits_per_character_ignores_how_a_text_is_cut():
    # "ab" as one token of probability 1/8, or as two of 1/2 and 1/4.
    merged = bits_per_character(5 * np.log(8), 10)
    apart = bits_per_character(5 * (np.log(2) + np.log(4)), 10)
    assert merged == pytest.approx(apart) == pytest.approx(1.5)


def test_refusals_and_warning():
    with pytest.raises(ValueError, match="frequency table"):
        unigram_normalized_loss(np.ones(3), np.array([0, 1, 5]), np.zeros(4))
    with pytest.raises(ValueError, match="as many"):
        unigram_normalized_loss(np.ones(3), np.array([0, 1]), np.zeros(4))
    with pytest.raises(ValueError, match="n_characters = 0"):
        bits_per_character(1.0, 0)
    with pytest.warns(UserWarning, match="worse than a unigram"):
        unigram_normalized_loss(np.ones(2), np.array([0, 1]), np.log([0.5, 0.5]))


def test_document_losses_are_the_models_own():
    marker = 0
    model = Decoder(DecoderConfig(30, 16, 1, 2, context=12), seed=2)
    rng = np.random.default_rng(0)
    texts = [np.concatenate([[marker], rng.integers(1, 30, size=n)]) for n in (3, 30, 11, 12, 1)]
    ids, offsets = np.concatenate(texts), np.concatenate([[0], np.cumsum([len(t) for t in texts])])
    nll, tokens, bounds = document_losses(model, ids, offsets, length=12, marker=marker, batch_tokens=40)
    assert len(nll) == len(tokens) == bounds[-1] == sum(len(t) for t in texts)
    with torch.no_grad():
        for i, text in enumerate(texts):
            full = torch.tensor(np.append(text, marker))
            assert np.array_equal(tokens[bounds[i] : bounds[i + 1]], full[1:].numpy())
            expected = [
                model.token_losses(full[None, start : start + 13])[0] for start in range(0, len(full) - 1, 12)
            ]
            assert np.allclose(nll[bounds[i] : bounds[i + 1]], torch.cat(expected).numpy(), atol=1e-5)
