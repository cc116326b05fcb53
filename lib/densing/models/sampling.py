"""Tokens drawn from logits."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 32


def choose_tokens(
    logits: Tensor, chance: np.ndarray, temperature: float = 1.0, top_p: float = 1.0
) -> np.ndarray:
    """Tokens (rows,) by inversion of the cumulative probabilities.

    Parameters
    ----------
    logits : (rows, vocab_size), or (1, vocab_size) for all rows.
    chance : (rows,) uniform in [0, 1).
    temperature : 0 takes the likeliest. top_p : share of probability kept, (0, 1].
    """
    if temperature == 0:
        return logits.argmax(-1).expand(len(chance)).cpu().numpy()
    p = torch.softmax(logits / temperature, -1)
    if top_p == 1:
        return _inverted(p, chance)
    p, order = p.sort(dim=-1, descending=True, stable=True)
    p = p * (p.cumsum(-1, dtype=torch.double) - p < top_p)
    place = _inverted(p, chance)
    return order.cpu().numpy()[np.arange(len(place)) if len(order) > 1 else 0, place]


def _inverted(p: Tensor, chance: np.ndarray) -> np.ndarray:
    """Indices (rows,) where the cumulative sums of `p` (rows or 1, n) pass `chance` times their totals.

    Sums are in double, block by block: a rare token keeps its probability, and most of the row is read once.
    """
    n = p.shape[-1]
    if len(p) == 1:
        ends = p[0].double().cumsum(-1)
        u = torch.from_numpy(chance).to(ends) * ends[-1]
        return torch.searchsorted(ends, u, right=True).clamp_(max=n - 1).cpu().numpy()
    blocks = F.pad(p, (0, -n % _BLOCK)).view(len(p), -1, _BLOCK)
    ends = blocks.sum(-1, dtype=torch.double).cumsum(-1)
    u = torch.from_numpy(chance).to(ends)[:, None] * ends[:, -1:]
    block = torch.searchsorted(ends, u, right=True).clamp_(max=ends.shape[-1] - 1)
    rest = u - torch.where(block > 0, ends.gather(1, (block - 1).clamp_(min=0)), 0.0)
    inside = blocks[torch.arange(len(p), device=p.device), block[:, 0]].cumsum(-1, dtype=torch.double)
    place = torch.searchsorted(inside, rest, right=True).clamp_(max=_BLOCK - 1)
    return (block * _BLOCK + place)[:, 0].clamp_(max=n - 1).cpu().numpy()
