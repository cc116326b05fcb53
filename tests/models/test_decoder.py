import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from densing.models import Decoder, DecoderConfig

# Name: width, layers, heads, N (the reference family's table).
FAMILY = {
    "d0.01M": (24, 2, 3, 13_944),
    "d0.05M": (48, 2, 3, 55_536),
    "d0.1M": (48, 4, 3, 111_024),
    "d0.2M": (64, 4, 4, 201_280),
    "d0.4M": (96, 4, 6, 443_232),
    "d0.9M": (112, 6, 7, 915_376),
    "d2M": (160, 6, 10, 1_860_640),
}


@pytest.mark.parametrize("name", FAMILY)
def test_counts_are_the_tables(name):
    width, layers, heads, n = FAMILY[name]
    config = DecoderConfig(1_024, width, layers, heads)
    model = Decoder(config)
    counted = sum(p.numel() for key, p in model.named_parameters() if key != "embedding.weight")
    assert config.n_parameters == counted == n
    assert config.n_embedding == model.embedding.weight.numel() == 1_024 * width


@settings(max_examples=8, deadline=None)
@given(heads=st.integers(1, 3), half=st.integers(2, 8), layers=st.integers(1, 3), seed=st.integers(0, 99))
def test_export_to_llama_is_the_same_function(heads, half, layers, seed):
    config = DecoderConfig(97, 2 * half * heads, layers, heads, context=40)
    model = Decoder(config, seed=seed).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # far from the start, where every term matters
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed)))
        tokens = torch.randint(0, 97, (3, 40), generator=torch.Generator().manual_seed(seed + 1))
        llama = model.to_llama()
        ours, theirs = model(tokens), llama(tokens).logits
        assert torch.allclose(ours, theirs, atol=1e-5 * max(1.0, float(theirs.abs().max())))
        loss = llama(tokens, labels=tokens).loss
        assert abs(float(model.loss(tokens) - loss)) < 1e-6 * max(1.0, float(loss))
    assert sum(p.numel() for p in llama.parameters()) == config.n_parameters + config.n_embedding


def test_later_tokens_do_not_change_earlier_logits():
    model = Decoder(DecoderConfig(50, 24, 2, 3, context=16)).eval()
    tokens = torch.randint(0, 50, (2, 16))
    changed = tokens.clone()
    changed[:, 9] = (changed[:, 9] + 1) % 50
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :9], after[:, :9])
    assert not torch.allclose(before[:, 9:], after[:, 9:])


def test_rotary_scores_depend_on_distance_alone():
    rotary = Decoder(DecoderConfig(10, 16, 1, 1, context=32)).rotary
    q, k = torch.randn(1, 16).expand(32, 16), torch.randn(1, 16).expand(32, 16)
    scores = rotary(q) @ rotary(k).T
    for distance in (0, 1, 7):
        diagonal = torch.diagonal(scores, -distance)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4)
    assert not torch.allclose(scores[5, 5], scores[5, 0])


def test_initial_weights():
    model = Decoder(DecoderConfig(1_024, 96, 4, 6), seed=3)
    again = Decoder(DecoderConfig(1_024, 96, 4, 6), seed=3)
    other = Decoder(DecoderConfig(1_024, 96, 4, 6), seed=4)
    for (name, p), q in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(p, q), name
    assert not torch.equal(model.embedding.weight, other.embedding.weight)
    assert float(model.blocks[0].qkv.weight.std()) == pytest.approx(0.02, rel=0.05)
    assert float(model.blocks[0].down.weight.std()) == pytest.approx(0.02 / np.sqrt(8), rel=0.05)
    tokens = torch.randint(0, 1_024, (4, 65))
    assert float(model.loss(tokens)) == pytest.approx(
        np.log(1_024), rel=0.02
    )  # at the start nothing is known


def test_token_losses_average_to_the_loss():
    model = Decoder(DecoderConfig(30, 16, 1, 2, context=8))
    windows = torch.randint(0, 30, (5, 9))
    assert float(model.token_losses(windows).mean()) == pytest.approx(float(model.loss(windows)), rel=1e-6)


@pytest.mark.parametrize(
    "shape, told",
    [
        ({"vocab_size": 1}, "vocab_size = 1"),
        ({"width": 30}, "width = 30"),
        ({"layers": 0}, "layers = 0"),
        ({"heads": 2.5}, "heads = 2.5"),
        ({"context": -1}, "context = -1"),
    ],
)
def test_bad_shapes_are_refused(shape, told):
    with pytest.raises(ValueError, match=told):
        DecoderConfig(**({"vocab_size": 100, "width": 32, "layers": 2, "heads": 4} | shape))


def test_too_long_a_sequence_is_refused():
    model = Decoder(DecoderConfig(10, 8, 1, 1, context=4))
    with pytest.raises(ValueError, match="length 5"):
        model(torch.zeros(1, 5, dtype=torch.long))
