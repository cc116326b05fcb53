"""Fused pieces of a decoder with gradients written out: the same mathematics in fewer passes over memory.

Small models on a CPU spend more time on attention, softmax and copies than on matrix products. Each function
here is an autograd node of its own that keeps blocks in the cache, skips what the causal mask hides and
writes gradients where they are needed. They need no compiler. On other devices than the CPU, attention goes
to the library's fused kernel.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_ROWS = 64  # query rows of an attention block
_CHUNK = 256  # rows of logits held at a time
_TINY = 1e-30


def rotary_attention(qkv: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Causal self-attention with rotary positions, from projections to mixed values.

    Parameters
    ----------
    qkv : (batch, length, 3, heads, head size), queries, keys and values before the rotation.
    cosine, sine : (length, head size / 2), of position times frequency (half-split convention of Llama).

    Returns
    -------
    (batch, length, heads * head size)
    """
    if qkv.device.type != "cpu":
        q, k, v = _rotated(qkv, cosine, sine, 1.0).unbind(0)
        return F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
    return _RotaryAttention.apply(qkv, cosine, sine)


def swiglu(gate_up: Tensor) -> Tensor:
    """silu(gate) * up, where the last dimension of `gate_up` holds gate, then up; half as wide."""
    return _SwiGLU.apply(gate_up)


def rms_normalize(x: Tensor, gain: Tensor, eps: float) -> Tensor:
    """gain * x / sqrt(mean(x^2) + eps) over the last dimension."""
    return _RMSNormalize.apply(x, gain, eps)


def tied_cross_entropy(hidden: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:
    """Mean negative log-likelihood, in nats, of `targets` under softmax(hidden @ embedding.T).

    The logits are made, used for both gradients and dropped a few rows at a time.

    Parameters
    ----------
    hidden : (n, width).
    embedding : (vocab_size, width).
    targets : (n,) token ids.
    """
    return _TiedCrossEntropy.apply(hidden, embedding, targets)


def tied_token_losses(hidden: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:
    """The terms of `tied_cross_entropy`, (n,): a loss for every target.

    Without gradients the logits are dropped a few rows at a time.
    """
    if torch.is_grad_enabled() and (hidden.requires_grad or embedding.requires_grad):
        return F.cross_entropy(F.linear(hidden, embedding), targets, reduction="none")
    pieces = [
        F.cross_entropy(F.linear(rows, embedding), own, reduction="none")
        for rows, own in zip(hidden.split(_CHUNK), targets.split(_CHUNK), strict=True)
    ]
    return torch.cat(pieces)


def _rotated(qkv: Tensor, cosine: Tensor, sine: Tensor, sign: float) -> Tensor:
    """(3, batch, heads, length, head size): queries and keys turned by their positions (back for sign -1)."""
    batch, length, _, heads, size = qkv.shape
    source = qkv.permute(2, 0, 3, 1, 4)
    if qkv.requires_grad:  # not in place: this path is differentiated by autograd
        first, second = source[:2].chunk(2, -1)
        turned = [first * cosine - second * sine * sign, second * cosine + first * sine * sign]
        return torch.cat([torch.cat(turned, -1), source[2:]])
    out = torch.empty((3, batch, heads, length, size), dtype=qkv.dtype, device=qkv.device)
    out[2] = source[2]
    _turn(source[:2], out[:2], cosine, sine, sign)
    return out


def _turn(source: Tensor, out: Tensor, cosine: Tensor, sine: Tensor, sign: float) -> None:
    half = source.shape[-1] // 2
    first, second = source[..., :half], source[..., half:]
    torch.mul(first, cosine, out=out[..., :half]).addcmul_(second, sine, value=-sign)
    torch.mul(second, cosine, out=out[..., half:]).addcmul_(first, sine, value=sign)


class _RotaryAttention(torch.autograd.Function):
    """Query rows in blocks: a block reads only the keys up to its end, so nearly half the work is skipped."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        batch, length, _, heads, size = qkv.shape
        with torch.no_grad():
            q, k, v = _rotated(qkv.detach(), cosine, sine, 1.0).view(3, batch * heads, length, size)
            q.mul_(1 / math.sqrt(size))
            out = torch.empty_like(q)
            hidden = torch.full((_ROWS, _ROWS), -math.inf, dtype=qkv.dtype).triu(1)
            weights = []
            for start in range(0, length, _ROWS):
                stop = min(start + _ROWS, length)
                scores = torch.bmm(q[:, start:stop], k[:, :stop].transpose(1, 2))
                scores[:, :, start:] += hidden[: stop - start, : stop - start]
                weights.append(torch.softmax(scores, -1))
                out[:, start:stop] = torch.bmm(weights[-1], v[:, :stop])
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(q, k, v, cosine, sine, *weights)
            ctx.shape = qkv.shape
        return out.view(batch, heads, length, size).transpose(1, 2).reshape(batch, length, heads * size)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        q, k, v, cosine, sine, *weights = ctx.saved_tensors
        batch, length, _, heads, size = ctx.shape
        grad = grad.reshape(batch, length, heads, size).transpose(1, 2).reshape(batch * heads, length, size)
        turned = torch.empty((2, batch * heads, length, size), dtype=q.dtype)
        dq, dk = turned
        dk.zero_()
        dv = torch.zeros_like(v)
        for i, p in enumerate(weights):
            start = i * _ROWS
            stop = start + p.shape[1]
            part = grad[:, start:stop]
            dp = torch.bmm(part, v[:, :stop].transpose(1, 2))
            ds = torch._softmax_backward_data(dp, p, -1, p.dtype)
            dq[:, start:stop] = torch.bmm(ds, k[:, :stop])
            dk[:, :stop].baddbmm_(ds.transpose(1, 2), q[:, start:stop])
            dv[:, :stop].baddbmm_(p.transpose(1, 2), part)
        dq.mul_(1 / math.sqrt(size))
        out = torch.empty(ctx.shape, dtype=q.dtype)
        target = out.permute(2, 0, 3, 1, 4)
        target[2] = dv.view(batch, heads, length, size)
        _turn(turned.view(2, batch, heads, length, size), target[:2], cosine, sine, -1.0)
        return out, None, None


class _SwiGLU(torch.autograd.Function):
    """The sigmoid, the dearest step, is taken once."""

    @staticmethod
    def forward(ctx: Any, gate_up: Tensor) -> Tensor:
        gate, up = gate_up.chunk(2, -1)
        share = torch.sigmoid(gate)
        silu = gate * share
        ctx.save_for_backward(gate_up, share, silu)
        return silu * up

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        gate_up, share, silu = ctx.saved_tensors
        up = gate_up[..., share.shape[-1] :]
        out = torch.empty_like(gate_up)
        d_gate, d_up = out.chunk(2, -1)
        torch.mul(grad, silu, out=d_up)
        # derivative of silu: share + silu * (1 - share)
        torch.add(share, silu, out=d_gate).addcmul_(silu, share, value=-1).mul_(up).mul_(grad)
        return out


class _RMSNormalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, eps: float) -> Tensor:
        squares = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_()
        scale = squares.div_(x.shape[-1]).add_(eps).rsqrt_()
        unit = x * scale
        ctx.save_for_backward(unit, scale, gain)
        return unit * gain

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, scale, gain = ctx.saved_tensors
        along = grad * unit
        d_gain = along.flatten(0, -2).sum(0)
        mean = torch.mv(along.flatten(0, -2), gain).div_(unit.shape[-1]).view_as(scale)
        return torch.mul(grad, gain).addcmul_(unit, mean, value=-1).mul_(scale), d_gain, None


class _TiedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, embedding: Tensor, targets: Tensor) -> Tensor:
        needed = any(ctx.needs_input_grad[:2])
        count = len(hidden)
        total = hidden.new_zeros((), dtype=torch.float64)
        d_hidden = torch.empty_like(hidden) if needed else None
        d_embedding = torch.zeros_like(embedding) if needed else None
        for start in range(0, count, _CHUNK):
            rows = hidden[start : start + _CHUNK]
            own = targets[start : start + _CHUNK, None]
            logits = F.linear(rows, embedding)
            if not needed:
                total += F.cross_entropy(logits, own[:, 0], reduction="sum")
                continue
            p = torch.softmax(logits, -1)
            right = p.gather(1, own)
            if bool((right < _TINY).any()):  # too small for its logarithm to be exact
                total += F.cross_entropy(logits, own[:, 0], reduction="sum")
            else:
                total -= right.log().sum(dtype=torch.float64)
            p.scatter_(1, own, right - 1)
            torch.mm(p, embedding, out=d_hidden[start : start + _CHUNK])
            d_embedding.addmm_(p.t(), rows, alpha=1 / count)
        if needed:
            ctx.save_for_backward(d_hidden.mul_(1 / count), d_embedding)
        return (total / count).to(hidden.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        d_hidden, d_embedding = ctx.saved_tensors
        return d_hidden * grad, d_embedding * grad, None
