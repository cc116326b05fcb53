"""How much a sum over models is uncertain, when models scatter around a curve by themselves and size by size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats


@dataclass(frozen=True)
class Scatter:
    """Mean squares of the residuals of models around a fitted curve.

    Attributes
    ----------
    within : mean square of models around the mean of their size; nan with one model a size.
    between : mean square of the sizes' means around the curve, times the models of a size.
    within_degrees, between_degrees : their degrees of freedom.
    models : mean number of models of a size.
    """

    within: float
    between: float
    within_degrees: int
    between_degrees: int
    models: float

    @property
    def pooled(self) -> bool:
        """Whether sizes scatter no more than their models would make them: then all residuals are one sample."""
        return self.within_degrees > 0 and self.between <= self.within

    def variance(self, weights: NDArray, size: NDArray, fresh: int = 0) -> tuple[float, float]:
        """Variance of sum(weights * F) over models, and its degrees of freedom (Satterthwaite).

        Parameters
        ----------
        weights, size : (n,).
        fresh : add the scatter of the mean of as many new models of one new size.
        """
        square = float(np.sum(weights**2))
        sums = np.array([weights[size == own].sum() for own in np.unique(size)])
        by_size = float(np.sum(sums**2))
        if self.within_degrees == 0:  # one model a size: what is new scatters as one model does
            return self.between * (square + (fresh > 0)), self.between_degrees
        if self.pooled:
            degrees = self.within_degrees + self.between_degrees
            mean = (self.within * self.within_degrees + self.between * self.between_degrees) / degrees
            return mean * (square + (1 / fresh if fresh else 0.0)), degrees
        by_size, square = by_size + (fresh > 0), square + (1 / fresh if fresh else 0.0)
        # between estimates within + models * (scatter of sizes)
        parts = (by_size / self.models * self.between, (square - by_size / self.models) * self.within)
        total = sum(parts)
        if not total:  # on the curve, exactly
            return 0.0, self.between_degrees
        below = parts[0] ** 2 / self.between_degrees + parts[1] ** 2 / self.within_degrees
        return total, total**2 / below

    def half_width(self, weights: NDArray, size: NDArray, level: float, fresh: int = 0) -> float:
        """Half width of Student's interval of the sum at `level`."""
        variance, degrees = self.variance(weights, size, fresh)
        return float(stats.t.ppf((1 + level) / 2, degrees) * np.sqrt(variance))


def scatter_of(residuals: NDArray, size: NDArray, coefficients: int) -> Scatter:
    """Split the residuals of models of several sizes around a curve of so many coefficients.

    Parameters
    ----------
    residuals, size : (n,); at least one size more than coefficients.
    """
    labels, place = np.unique(size, return_inverse=True)
    count = np.bincount(place)
    means = np.bincount(place, residuals) / count
    within_degrees = len(size) - len(labels)
    between_degrees = len(labels) - coefficients
    within = float(np.sum((residuals - means[place]) ** 2) / within_degrees) if within_degrees else np.nan
    between = float(np.sum(count * means**2) / between_degrees)
    return Scatter(within, between, within_degrees, between_degrees, len(size) / len(labels))
