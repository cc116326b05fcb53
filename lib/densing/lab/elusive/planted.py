"""Made-up likelihoods of choices whose laws are known: controls for the analysis and for the forecast."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_choice, check_range
from densing.errors import InputError
from densing.evaluation.predictability.stages import ChoiceScores

_FLOOR = -1e-3  # no made-up choice is more certain than this, nats


def planted_scores(
    compute: ArrayLike,
    *,
    items: int = 500,
    choices: int = 4,
    right_slope: float = 0.6,
    wrong_slope: float = 0.4,
    slope_sd: float = 0.15,
    slope_correlation: float = 0.5,
    margin_sd: float = 1.2,
    noise: float = 0.3,
    shared_noise: float = 0.5,
    model_noise: float = 0.03,
    exponent: float = 0.0,
    incorrect: str = "vary",
    seed: int = 0,
) -> ChoiceScores:
    """Log-likelihoods that follow laws of compute exactly, but for the noise asked for.

    log p = level + slope · x + noise, x = (1 - exp(-exponent z)) / exponent with z = ln C - mean (z at exponent 0).

    Parameters
    ----------
    compute : (models,) above 0.
    items, choices : numbers of items, and of choices of each, one of them right.
    right_slope, wrong_slope : mean slopes of right and incorrect choices, nats per e-fold of compute.
    slope_sd : standard deviation of slopes about these means. slope_correlation : between the choices of an item.
    margin_sd : standard deviation of the right choice's level about the incorrect ones', nats.
    noise : standard deviation of a choice's noise, nats. shared_noise : share of its variance common to an item.
    model_noise : standard deviation of what a model adds to all right choices, nats.
    exponent : of the law, >= 0.
    incorrect : "vary", or "fixed": incorrect choices have neither slope nor noise.
    seed : of everything random.

    Raises
    ------
    InputError : a value out of range.
    """
    compute = np.asarray(compute, float)
    if compute.ndim != 1 or not (compute > 0).all():
        raise InputError("compute: must be a list of numbers above 0")
    check_range("items", items, 1, integer=True)
    check_range("choices", choices, 2, integer=True)
    for name, value in (("slope_correlation", slope_correlation), ("shared_noise", shared_noise)):
        check_range(name, value, 0, 1)
    for name, value in (("slope_sd", slope_sd), ("noise", noise), ("model_noise", model_noise)):
        check_range(name, value, 0)
    check_range("exponent", exponent, 0)
    check_choice("incorrect", incorrect, ("vary", "fixed"))
    rng = np.random.default_rng(seed)
    z = np.log(compute) - np.log(compute).mean()
    x = -np.expm1(-exponent * z) / exponent if exponent else z
    correct = rng.integers(choices, size=items)
    right = np.arange(choices) == correct[:, None]
    level = rng.normal(-12, 1.5, (items, 1)) + rng.normal(0, 1, (items, choices))
    level += np.where(right, rng.normal(0, margin_sd, (items, 1)), 0)
    slope = np.where(right, right_slope, wrong_slope) + slope_sd * _correlated(
        rng, (items, choices), slope_correlation
    )
    moves = noise * _correlated(rng, (len(z), items, choices), shared_noise)
    moves += np.where(right, model_noise * rng.standard_normal((len(z), 1, 1)), 0)
    moves += slope * x[:, None, None]
    if incorrect == "fixed":
        moves = np.where(right, moves, 0.0)
    return ChoiceScores(np.minimum(level + moves, _FLOOR), correct, compute)


def _correlated(rng: np.random.Generator, shape: tuple[int, ...], correlation: float) -> NDArray:
    """Standard normal numbers of which those along the last axis have the given correlation."""
    common, own = rng.standard_normal((*shape[:-1], 1)), rng.standard_normal(shape)
    return np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
