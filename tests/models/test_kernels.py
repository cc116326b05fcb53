"""The fused pieces against plain autograd, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

from densing.models import Decoder, DecoderConfig
from densing.models.kernels import (
    rms_normalize,
    rotary_attention,
    swiglu,
    tied_cross_entropy,
    tied_token_losses,
)


def _positions(length, size):
    frequency = 10_000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64) / size)
    angle = torch.outer(torch.arange(length, dtype=torch.float64), frequency)
    return angle.cos(), angle.sin()


def _plain_attention(qkv, cosine, sine):
    def turn(x):
        first, second = x.chunk(2, -1)
        return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)

    q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    scores = turn(q) @ turn(k).transpose(-1, -2) / math.sqrt(q.shape[-1])
    hidden = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    mixed = scores.masked_fill(hidden, -math.inf).softmax(-1) @ v
    return mixed.transpose(1, 2).flatten(2)


@pytest.mark.parametrize(
    ("length", "heads", "size"), [(1, 1, 2), (7, 2, 4), (64, 1, 6), (65, 3, 2), (200, 2, 8)]
)
def test_rotary_attention(length, heads, size):
    torch.manual_seed(length)
    qkv = torch.randn(2, length, 3, heads, size, dtype=torch.float64, requires_grad=True)
    positions = _positions(length, size)
    weight = torch.randn(2, length, heads * size, dtype=torch.float64)
    ours, plain = rotary_attention(qkv, *positions), _plain_attention(qkv, *positions)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    found = torch.autograd.grad((ours * weight).sum(), qkv)[0]
    right = torch.autograd.grad((plain * weight).sum(), qkv)[0]
    torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-10)


def test_swiglu_and_norm_gradients():
    torch.manual_seed(0)
    gate_up = torch.randn(3, 5, 8, dtype=torch.float64, requires_grad=True)
    x = torch.randn(3, 5, 6, dtype=torch.float64, requires_grad=True)
    gain = torch.randn(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(swiglu, (gate_up,))
    assert torch.autograd.gradcheck(lambda x, gain: rms_normalize(x, gain, 1e-5), (x, gain))
    gate, up = gate_up.chunk(2, -1)
    torch.testing.assert_close(swiglu(gate_up), F.silu(gate) * up)
    torch.testing.assert_close(rms_normalize(x, gain, 1e-5), F.rms_norm(x, (6,), gain, 1e-5))


@pytest.mark.parametrize("count", [1, 256, 300])
def test_tied_cross_entropy(count):
    torch.manual_seed(count)
    hidden = torch.randn(count, 4, dtype=torch.float64, requires_grad=True)
    embedding = torch.randn(11, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 11, (count,))
    ours = tied_cross_entropy(hidden, embedding, targets)
    plain = F.cross_entropy(hidden @ embedding.T, targets)
    torch.testing.assert_close(ours, plain, rtol=1e-12, atol=1e-12)
    for found, right in zip(
        torch.autograd.grad(3 * ours, (hidden, embedding)),
        torch.autograd.grad(3 * plain, (hidden, embedding)),
        strict=True,
    ):
        torch.testing.assert_close(found, right, rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(tied_token_losses(hidden, embedding, targets).mean(), plain)


def test_loss_of_a_target_that_underflows():
    hidden, embedding = torch.tensor([[1.0]], requires_grad=True), torch.tensor([[0.0], [500.0]])
    loss = tied_cross_entropy(hidden, embedding, torch.tensor([0]))
    assert float(loss) == 500.0


def test_whole_decoder_against_llama_gradients():
    model = Decoder(DecoderConfig(50, 16, 2, 2, context=70), seed=3)
    windows = torch.randint(0, 50, (3, 71), generator=torch.Generator().manual_seed(0))
    llama = model.to_llama().train()
    model.loss(windows).backward()
    F.cross_entropy(llama(windows[:, :-1]).logits.flatten(0, 1), windows[:, 1:].flatten()).backward()
    q, k, v = model.blocks[1].qkv.weight.grad.chunk(3)
    attention = llama.model.layers[1].self_attn
    for found, right in ((q, attention.q_proj), (k, attention.k_proj), (v, attention.v_proj)):
        torch.testing.assert_close(found, right.weight.grad, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(
        model.embedding.weight.grad, llama.model.embed_tokens.weight.grad, rtol=1e-4, atol=1e-7
    )
