"""How right and wrong choices move together over scale, and whose movement makes the log odds vary."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densing.evaluation.predictability.stages import ChoiceScores, log_sum_exp


@dataclass(frozen=True, eq=False)
class MarginVariance:
    """Variance over models of d = a - b, where a = ln p of the right choice and b = ln p of the incorrect ones.

    Var(d) = Var(a) + Var(b) - 2 Cov(a, b), for every item (and, pairwise, for every incorrect choice).

    Attributes
    ----------
    margin, correct, incorrect, covariance : Var(d), Var(a), Var(b), Cov(a, b).
    """

    margin: NDArray
    correct: NDArray
    incorrect: NDArray
    covariance: NDArray

    @property
    def incorrect_share(self) -> NDArray:
        """Share of Var(d) that goes with the incorrect choices, -Cov(d, b) / Var(d); that of a is the rest.

        Below 0 or above 1 where the two movements work against each other; nan where d does not vary.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.margin > 0, (self.incorrect - self.covariance) / self.margin, np.nan)


def margin_variance(
    scores: ChoiceScores, *, pairwise: bool = False, normalize: str = "raw"
) -> MarginVariance:
    """Decompose what makes p_choices vary over the models.

    Parameters
    ----------
    scores : of a task under many models.
    pairwise : each incorrect choice for itself, (items, choices) with nan at the right one; else d is the log odds of
        p_choices and b the log of the summed probability of the incorrect choices, (items,).
    normalize : as `ChoiceScores.normalized`.

    References
    ----------
    Schaeffer et al. (2024), arXiv 2406.04391, section on the mechanism; the decomposition is ours.
    """
    values = scores.normalized(normalize)
    right = _right(scores, values)
    if not pairwise:
        return _decompose(right, log_sum_exp(np.where(scores.wrong, values, -np.inf)))
    return _decompose(right[..., None], np.where(scores.wrong, values, np.nan))


def choice_covariation(scores: ChoiceScores, normalize: str = "raw") -> tuple[NDArray, NDArray]:
    """Pearson correlation and least-squares slope over models of log p of incorrect choices on log p of the right one.

    Parameters
    ----------
    scores, normalize : as `margin_variance`.

    Returns
    -------
    correlation, slope : (items,) means over the incorrect choices of each item; nan where nothing varies.
    """
    parts = margin_variance(scores, pairwise=True, normalize=normalize)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = parts.covariance / np.sqrt(parts.correct * parts.incorrect)
        slope = parts.covariance / parts.correct
    return _mean_defined(correlation), _mean_defined(slope)


def _right(scores: ChoiceScores, values: NDArray) -> NDArray:
    return values[:, np.arange(len(scores.correct)), scores.correct]


def _decompose(a: NDArray, b: NDArray) -> MarginVariance:
    da, db = a - a.mean(axis=0), b - b.mean(axis=0)
    correct, incorrect, both = (da**2).mean(axis=0), (db**2).mean(axis=0), (da * db).mean(axis=0)
    return MarginVariance(
        ((da - db) ** 2).mean(axis=0), np.broadcast_to(correct, both.shape), incorrect, both
    )


def _mean_defined(values: NDArray) -> NDArray:
    defined = np.isfinite(values)
    counts = defined.sum(axis=1)
    return np.where(counts, np.where(defined, values, 0).sum(axis=1) / np.maximum(counts, 1), np.nan)
