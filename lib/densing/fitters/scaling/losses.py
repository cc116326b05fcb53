"""Loss functions of residuals, and what they say about the spread of the estimates."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

LOSSES = ("huber", "squared")


@dataclass(frozen=True)
class Loss:
    """Loss of a residual r: r^2/2 up to `delta`, then delta (|r| - delta/2). An infinite `delta` is least squares."""

    delta: float

    def value(self, r: np.ndarray) -> np.ndarray:
        """Loss of each residual."""
        size = np.abs(r)
        inside = np.minimum(size, self.delta)
        return inside * (size - 0.5 * inside)

    def slope(self, r: np.ndarray) -> np.ndarray:
        """First derivative, psi."""
        return np.clip(r, -self.delta, self.delta)

    def calibration(self, r: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
        """Means of psi^2 and of psi' over the residuals.

        The second derivative of a Huber loss jumps, so for a small `delta` the mean of psi' (the share of residuals
        inside) rests on few points; it is estimated with a Gaussian kernel of Silverman's width instead.
        """
        total = weights.sum()
        squared = float(weights @ self.slope(r) ** 2 / total)
        if not np.isfinite(self.delta):
            return squared, 1.0
        spread = min(np.std(r), np.subtract(*np.percentile(r, [75, 25])) / 1.349) or np.std(r)
        width = 0.9 * spread * len(r) ** -0.2
        if width == 0:
            return squared, 1.0
        inside = stats.norm.cdf((self.delta - r) / width) - stats.norm.cdf((-self.delta - r) / width)
        return squared, float(weights @ inside / total)


def automatic_delta(r: np.ndarray) -> float:
    """1.345 robust standard deviations (1.4826 times the median absolute deviation) of residuals `r`."""
    return float(1.345 * 1.4826 * np.median(np.abs(r - np.median(r))))
