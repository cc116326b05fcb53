import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from densing.errors import InputError
from densing.models import PADDING, CachedDecoder, Decoder, DecoderConfig, sample


def rough(vocab_size=11, width=16, layers=2, heads=2, context=24, seed=0, spread=0.5):
    """A decoder far from its start, where every term matters."""
    model = Decoder(DecoderConfig(vocab_size, width, layers, heads, context=context), seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(spread * torch.randn(parameter.shape, generator=generator))
    return model


def full_logits(model, tokens):
    with torch.inference_mode():
        return model(torch.as_tensor(np.asarray(tokens))[None])[0, -1]


@pytest.mark.parametrize("prompts", [[[3, 1, 4]], [[3, 1, 4], [5], [2, 7, 1, 8, 2]]])
def test_cached_logits_are_those_of_the_whole_text(prompts):
    model, rows = rough(), 4 if len(prompts) == 1 else len(prompts)
    rng = np.random.default_rng(1)
    texts = [list(prompts[0] if len(prompts) == 1 else prompts[row]) for row in range(rows)]
    with torch.inference_mode():
        decoder = CachedDecoder(model, [np.array(prompt) for prompt in prompts], 8)
        for prompt, logits in zip(prompts, decoder.first_logits, strict=True):
            assert torch.allclose(logits, full_logits(model, prompt), atol=1e-5)
        decoder.start(rows)
        kept = np.arange(rows)
        for step in range(8):
            new = rng.integers(0, 11, len(kept))
            for row, token in zip(kept, new, strict=True):
                texts[row].append(int(token))
            logits = decoder.step(torch.from_numpy(new))
            expected = torch.stack([full_logits(model, texts[row]) for row in kept])
            assert torch.allclose(logits, expected, atol=2e-5), step
            if step == 3:  # some rows end: the others' caches move up
                decoder.keep(torch.tensor([0, len(kept) - 1]))
                kept = kept[[0, -1]]


def test_a_result_depends_on_the_seed_and_not_on_the_batch():
    model = rough()
    prompt = [np.array([1, 2, 3])]
    found = [sample(model, prompt, 9, stop=0, seed=5, samples=50, batch=batch).tokens for batch in (1, 7, 64)]
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])
    other = sample(model, prompt, 9, stop=0, seed=6, samples=50).tokens
    assert other.shape != found[0].shape or not np.array_equal(other, found[0])
    prompts = [np.array([1, 2, 3]), np.array([4]), np.array([5, 6])]
    alone, together = (sample(model, prompts, 6, stop=0, seed=2, batch=batch) for batch in (1, 3))
    assert np.array_equal(alone.tokens, together.tokens)


def test_samples_end_at_the_stop_token_and_are_padded():
    drawn = sample(rough(), [np.array([1]), np.array([2, 3])], 6, stop=4, seed=0, samples=200)
    assert drawn.prompt.tolist() == [0] * 200 + [1] * 200
    assert 0 < drawn.stopped.sum() < len(drawn)
    for row in range(len(drawn)):
        tokens = drawn.tokens[row, : drawn.lengths[row]]
        assert (drawn.tokens[row, drawn.lengths[row] :] == PADDING).all() and PADDING not in tokens
        assert (tokens[:-1] != 4).all() and drawn.stopped[row] == (tokens[-1] == 4)
        assert drawn.stopped[row] or drawn.lengths[row] == 6
        assert len(drawn[row]) == drawn.lengths[row] - drawn.stopped[row]


def test_greedy_takes_the_most_likely_token():
    model = rough()
    prompts = [np.array([1, 2]), np.array([7, 5, 3])]
    drawn = sample(model, prompts, 7, temperature=0)
    for prompt, tokens in zip(prompts, drawn.tokens, strict=True):
        text = list(prompt)
        for token in tokens:
            assert token == int(full_logits(model, text).argmax())
            text.append(token)


def probabilities(model, prompt, texts, temperature):
    """Exact probabilities of texts, end marks included, by whole forward passes."""
    longest = max(map(len, texts))
    rows = [list(prompt) + list(text) + [0] * (longest - len(text)) for text in texts]
    with torch.inference_mode():
        log_p = torch.log_softmax(model(torch.tensor(rows)).double() / temperature, -1).numpy()
    first = len(prompt) - 1
    return np.exp([sum(log_p[i, first + k, t] for k, t in enumerate(text)) for i, text in enumerate(texts)])


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_every_text_of_a_toy_vocabulary_comes_as_often_as_it_should(temperature):
    model, prompt, n = rough(vocab_size=5, spread=0.25), [1, 2], 20_000
    drawn = sample(
        model, [np.array(prompt)], 3, stop=0, temperature=temperature, seed=3, samples=n, batch=5_000
    )
    texts = [
        text
        for length in (1, 2, 3)
        for text in itertools.product(range(5), repeat=length)
        if 0 not in text[:-1] and (text[-1] == 0 or length == 3)
    ]
    p = probabilities(model, prompt, texts, temperature)
    assert p.sum() == pytest.approx(1, abs=1e-5)
    found = Counter(tuple(row[row != PADDING].tolist()) for row in drawn.tokens)
    counts = np.array([found[text] for text in texts])
    assert counts.sum() == n
    low, high = stats.binom.interval(1 - 0.001 / len(texts), n, p)  # 99.9 % for all texts together
    assert ((counts >= low) & (counts <= high)).all()
    common = p * n > 5
    expected = np.append(n * p[common], n * p[~common].sum())
    assert (
        stats.chisquare(
            np.append(counts[common], counts[~common].sum()), expected / expected.sum() * n
        ).pvalue
        > 1e-3
    )


def test_a_nucleus_holds_the_likeliest_tokens_only():
    model, prompt = rough(vocab_size=7), np.array([1, 2])
    p = torch.softmax(full_logits(model, prompt).double(), -1).numpy()
    order = np.argsort(-p)
    kept = order[: int(np.searchsorted(np.cumsum(p[order]), 0.6)) + 1]
    drawn = sample(model, [prompt], 1, top_p=0.6, samples=5_000, seed=1).tokens[:, 0]
    assert set(drawn) == set(kept)
    share = np.bincount(drawn, minlength=7)[kept] / 5_000
    assert np.allclose(share, p[kept] / p[kept].sum(), atol=0.03)


def test_a_sample_that_may_not_go_on_is_cut():
    model = rough()
    drawn = sample(
        model, [np.array([1])], 5, seed=0, samples=300, going=lambda tokens: tokens[:, -1] % 2 == 0
    )
    whole = sample(model, [np.array([1])], 5, seed=0, samples=300)
    for row in range(300):
        odd = np.flatnonzero(whole.tokens[row] % 2)
        length = 5 if not len(odd) else odd[0] + 1
        assert drawn.lengths[row] == length
        assert np.array_equal(drawn.tokens[row, :length], whole.tokens[row, :length])


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_new_tokens": 0},
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"samples": 0},
        {"max_new_tokens": 30},
        {"prompts": [[]]},
        {"prompts": []},
    ],
)
def test_bad_input_is_refused(wrong):
    options = {"prompts": [np.array([1])], "max_new_tokens": 4} | wrong
    with pytest.raises(InputError, match=next(iter(wrong)) if wrong != {"max_new_tokens": 30} else "context"):
        sample(rough(), **options)
