"""What a fitted law says about runs that were not made."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from densing.checks import check_range
from densing.fitters.scaling.intervals import bca, percentile

_OBSERVATIONS = 4_000  # draws of a new run's loss, at least
_NUMBERS = 5_000_000  # of them held at once


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted responses with the uncertainty of the curve and of a single new run; made by `get_prediction`.

    Attributes
    ----------
    predicted_mean : (m,) the fitted curve. draws : (B, m) the curve of each resample, or of draws from the normal
        approximation where there was no bootstrap. left_out : (units, m) leave-one-out curves, or None.
    residuals : (n,) observed minus fitted, widened for the fitted parameters; of logarithms when `multiplicative`.
    """

    predicted_mean: np.ndarray
    draws: np.ndarray
    left_out: np.ndarray | None
    residuals: np.ndarray
    multiplicative: bool
    seed: int

    def conf_int(self, level: float = 0.95) -> np.ndarray:
        """Interval (m, 2) of the curve."""
        check_range("level", level, 0, 1, open_low=True, open_high=True)
        if self.left_out is not None:
            return np.stack(bca(self.draws, self.predicted_mean, self.left_out, level), axis=1)
        return np.stack(percentile(self.draws, level), axis=1)

    def prediction_int(self, level: float = 0.95) -> np.ndarray:
        """Interval (m, 2) that a new run's response falls into: the curve's draws with drawn residuals."""
        check_range("level", level, 0, 1, open_low=True, open_high=True)
        rng = np.random.default_rng([self.seed, 6])
        repeats = -(-_OBSERVATIONS // len(self.draws))
        width = max(1, _NUMBERS // (repeats * len(self.draws)))
        ends = []
        for at in range(0, self.draws.shape[1], width):
            draws = np.tile(self.draws[:, at : at + width], (repeats, 1))
            noise = self.residuals[rng.integers(0, len(self.residuals), draws.shape)]
            new = draws * np.exp(noise) if self.multiplicative else draws + noise
            ends.append(np.stack(percentile(new, level), axis=1))
        return np.concatenate(ends)

    def summary_frame(self, level: float = 0.95) -> pd.DataFrame:
        """Mean, its standard error, the interval of the curve (mean_ci) and of a new run (obs_ci)."""
        curve, run = self.conf_int(level), self.prediction_int(level)
        return pd.DataFrame(
            {
                "mean": self.predicted_mean,
                "mean_se": self.draws.std(axis=0, ddof=1),
                "mean_ci_lower": curve[:, 0],
                "mean_ci_upper": curve[:, 1],
                "obs_ci_lower": run[:, 0],
                "obs_ci_upper": run[:, 1],
            }
        )


def normal_draws(
    mean: np.ndarray, gradient: np.ndarray, covariance: np.ndarray, multiplicative: bool
) -> np.ndarray:
    """Quantiles (B, m) of a curve's delta-method distribution, in place of bootstrap draws.

    `gradient` (m, p) is of the response by the parameters; log-normal when `multiplicative`, so positive.
    """
    se = np.sqrt(np.einsum("mp,pq,mq->m", gradient, covariance, gradient))
    normal = stats.norm.ppf((np.arange(999) + 0.5) / 999)[:, None]
    return mean * np.exp(normal * se / mean) if multiplicative else mean + normal * se


def allocation_frame(flops: np.ndarray, parts: dict, draws: dict | None, level: float) -> pd.DataFrame:
    """A row a budget: each quantity and, where there are draws (B, m), the ends of its interval."""
    columns = {"flops": flops}
    for name, value in parts.items():
        columns[name] = value
        if draws is not None:
            columns[f"{name}_lower"], columns[f"{name}_upper"] = percentile(draws[name], level)
    return pd.DataFrame(columns)
