"""The S-curve between loss and score, its exact inverse, and the logit of a score above chance."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range
from densing.errors import InputError

#: Why `score_to_loss` gives no finite loss.
BELOW_FLOOR = "below the floor d"
AT_FLOOR = "at the floor d: any larger loss scores the same"
AT_CEILING = "at the ceiling c + d: any smaller loss scores the same"
ABOVE_CEILING = "above the ceiling c + d"
NOT_A_NUMBER = "no score"


def loss_to_score(l: ArrayLike, c: float, gamma: float, l0: float, d: float) -> NDArray:
    """Score from loss, S(l) = c / (1 + exp(-gamma (l - l0))) + d.

    Parameters
    ----------
    l : loss, nats per token.
    c : height of the curve, positive; c + d is the ceiling.
    gamma : steepness per nat, negative (a lower loss scores higher).
    l0 : loss at half height.
    d : floor, the score of guessing.

    Raises
    ------
    InputError : c not positive, gamma not negative, or one that is not finite.

    References
    ----------
    Xiao et al. (2024), arXiv 2412.04315, the second of the two estimation steps.
    """
    _check_curve(c, gamma, l0, d)
    from scipy.special import expit

    return c * expit(gamma * (np.asarray(l, float) - l0)) + d


def score_to_loss(
    score: ArrayLike, c: float, gamma: float, l0: float, d: float, *, reasons: bool = False
) -> NDArray | tuple[NDArray, NDArray]:
    """Loss from score, the exact inverse of `loss_to_score`.

    No score is clipped. At the floor the loss is inf, at the ceiling -inf; outside the two it is nan.

    Parameters
    ----------
    score : in the unit of c and d.
    reasons : also return, for each score, why its loss is not finite ("" where it is).

    Returns
    -------
    loss : nats per token, of the shape of `score`; with `reasons` a tuple of losses and texts.
    """
    _check_curve(c, gamma, l0, d)
    score = np.asarray(score, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = l0 + np.log((score - d) / (c + d - score)) / gamma
    if not reasons:
        return loss
    texts = np.select(
        [np.isnan(score), score < d, score == d, score == c + d, score > c + d],
        [NOT_A_NUMBER, BELOW_FLOOR, AT_FLOOR, AT_CEILING, ABOVE_CEILING],
        default="",
    )
    return loss, texts


def chance_logit(score: ArrayLike, chance: ArrayLike, *, clip: float | None = None) -> NDArray:
    """Log odds of a score after chance is taken out: logit((S - d) / (1 - d)).

    Parameters
    ----------
    score : in [0, 1].
    chance : the score d of guessing, in [0, 1); one number or one for each score.
    clip : move rescaled scores into [clip, 1 - clip] first; None: nan at and below chance, inf at 1.

    Raises
    ------
    InputError : a chance outside [0, 1), or a clip outside (0, 0.5).
    """
    chance = np.asarray(chance, float)
    if not ((chance >= 0) & (chance < 1)).all():
        raise InputError(f"chance = {chance.tolist()!r}: must be in [0, 1)")
    rescaled = (np.asarray(score, float) - chance) / (1 - chance)
    if clip is not None:
        check_range("clip", clip, 0, 0.5, open_low=True, open_high=True)
        rescaled = np.clip(rescaled, clip, 1 - clip)
    rescaled = np.where(rescaled > 0, rescaled, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(rescaled) - np.log1p(-rescaled)


def _check_curve(c: float, gamma: float, l0: float, d: float) -> None:
    check_range("c", c, 0, open_low=True)
    check_range("gamma", gamma, high=0, open_high=True)
    check_range("l0", l0)
    check_range("d", d)
