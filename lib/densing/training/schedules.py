"""Learning-rate schedules, as a share of the peak rate against tokens seen."""

import math
from collections.abc import Callable

from densing.checks import check_range

Schedule = Callable[[float], float]


def constant(warmup_tokens: float = 0) -> Schedule:
    """A linear warm-up over `warmup_tokens`, then 1: the trunk of a branching run."""
    check_range("warmup_tokens", warmup_tokens, 0)

    def share(tokens: float) -> float:
        return min(tokens / warmup_tokens, 1.0) if warmup_tokens else 1.0

    return share


def wsd(
    total_tokens: float, *, warmup_tokens: float = 0, decay_tokens: float, final: float = 0.1
) -> Schedule:
    """Warm-up, stable, decay: linear up, constant, then exponential down to `final` at `total_tokens`.

    Parameters
    ----------
    total_tokens : tokens of the whole run, > 0.
    warmup_tokens : tokens of the warm-up, [0, total_tokens].
    decay_tokens : tokens of the decay at the end, [0, total_tokens].
    final : share of the peak rate at the end, (0, 1].

    Returns
    -------
    A function of the tokens seen (the step being taken included) that returns the share of the peak rate.

    References
    ----------
    Hu et al. (2024), MiniCPM, section 4.
    """
    check_range("total_tokens", total_tokens, 0, open_low=True)
    check_range("decay_tokens", decay_tokens, 0, total_tokens)
    check_range("final", final, 0, 1, open_low=True)
    check_range("warmup_tokens", warmup_tokens, 0, total_tokens)
    rise = constant(warmup_tokens)
    start = total_tokens - decay_tokens

    def share(tokens: float) -> float:
        if tokens <= start:
            return rise(tokens)
        return rise(tokens) * final ** (min(tokens - start, decay_tokens) / decay_tokens)

    return share


def cosine(total_tokens: float, *, warmup_tokens: float = 0, final: float = 0.1) -> Schedule:
    """Linear warm-up, then half a cosine from 1 down to `final` at `total_tokens`.

    Parameters
    ----------
    total_tokens : tokens of the whole run, > 0.
    warmup_tokens : tokens of the warm-up, [0, total_tokens).
    final : share of the peak rate at the end, [0, 1].

    References
    ----------
    Loshchilov and Hutter (2017), SGDR; Hoffmann et al. (2022), appendix B.
    """
    check_range("total_tokens", total_tokens, 0, open_low=True)
    check_range("warmup_tokens", warmup_tokens, 0, total_tokens, open_high=True)
    check_range("final", final, 0, 1)
    rise = constant(warmup_tokens)

    def share(tokens: float) -> float:
        if tokens <= warmup_tokens:
            return rise(tokens)
        passed = min((tokens - warmup_tokens) / (total_tokens - warmup_tokens), 1.0)
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * passed))

    return share
