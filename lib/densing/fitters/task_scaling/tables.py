"""Tables of pass counts or exact probabilities as matrices: one row an instance, one column a trained model."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.checks import check_columns
from densing.errors import InputError
from densing.fitters.task_scaling.likelihood import CountCells, ExactCells
from densing.fitters.task_scaling.stopped import checked_counts, stopped_rate, stopped_variance

COUNTS = ("passes", "samples", "censored")
_KNOWN = 3


@dataclass(frozen=True, eq=False)
class PassTable:
    """Pass counts, or exact log-probabilities, of the same instances under models of several sizes.

    Attributes
    ----------
    instances : (I,) labels. size : (J,) parameters of each model, rising. model : (J,) labels.
    rates : (I, J) unbiased estimates, or exact values.
    passes, samples, censored : (I, J) counts; None for exact values.
    log_p : (I, J) exact log-probabilities; None for counts.
    """

    instances: NDArray
    size: NDArray
    model: NDArray
    rates: NDArray
    passes: NDArray | None = None
    samples: NDArray | None = None
    censored: NDArray | None = None
    log_p: NDArray | None = None

    @property
    def exact(self) -> bool:
        """Whether the table holds probabilities instead of counts."""
        return self.log_p is not None

    @property
    def sizes(self) -> NDArray:
        """Distinct sizes, rising."""
        return np.unique(self.size)

    def mean_rates(self) -> NDArray:
        """(J,) mean rate of each model."""
        return self.rates.mean(0)

    def lowest_rates(self) -> NDArray:
        """(J,) rate that stands for a mean of zero: half a pass in all samples."""
        return np.zeros(len(self.size)) if self.exact else 0.5 / self.samples.sum(0)

    def known(self, coefficients: int) -> NDArray:
        """(J,) which models' rates are known well enough to tell their scatter around a curve: three passes, at least.

        All of them, where those that are left would not cover more sizes than the curve has coefficients.
        """
        if self.exact:
            return np.ones(len(self.size), bool)
        enough = self.passes.sum(0) >= _KNOWN
        few = len(np.unique(self.size[enough])) <= coefficients
        return np.ones_like(enough) if few else enough

    def cells(self) -> CountCells | ExactCells:
        """The test set under each model.

        Counts of several instances are replaced by a binomial count with the mean rate and its variance: their
        sums are no binomial counts when instances differ, and stopped counts may not be added at all.
        """
        if self.exact:
            return ExactCells(mean_F(self.log_p))
        if len(self.instances) == 1:
            return CountCells(self.passes[0], self.samples[0])
        mean = self.mean_rates()
        variance = (
            stopped_variance(self.passes, self.samples, self.censored).sum(0) / len(self.instances) ** 2
        )
        # of instances with equal, small rates; where no failure or no pass was seen
        plain = len(self.instances) ** 2 / (1 / self.samples).sum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            samples = np.where(variance > 0, mean * (1 - mean) / variance, plain)
        return CountCells(mean * samples, samples)


def mean_F(log_p: NDArray, weights: NDArray | None = None) -> NDArray:
    """F = ln(-ln mean p) of the mean over instances (rows) of exp(log_p); rates of 1e-300 keep their digits.

    Parameters
    ----------
    log_p : (I, J).
    weights : (B, I), draws of instances; the result is then (B, J).
    """
    top = log_p.max(0)
    shares = np.exp(log_p - top)
    means = shares.mean(0) if weights is None else weights @ shares / weights.sum(1, keepdims=True)
    with np.errstate(divide="ignore"):
        return np.log(-np.minimum(top + np.log(means), -1e-300))


def pass_table(frame: pd.DataFrame, *, sizes: int = 3) -> PassTable:
    """Read a table of pass counts.

    Parameters
    ----------
    frame : one row an instance and model: ``size`` (parameters), ``instance``, and either the counts ``passes``,
        ``samples``, ``censored`` or an exact ``log_p`` (natural logarithm; used if both are there). ``model`` tells
        models of one size apart (a seed, say). Every model must have the same instances.
    sizes : least number of distinct sizes.

    Raises
    ------
    InputError : a missing column, a size that is not positive, too few sizes, an instance twice or not under
        every model, impossible counts, or a probability above 1.
    """
    exact = "log_p" in frame.columns
    check_columns("counts", frame.columns, ("size", "instance", *(("log_p",) if exact else COUNTS)))
    size = frame["size"].to_numpy(float)
    if not (np.isfinite(size) & (size > 0)).all():
        raise InputError("counts: 'size' must be positive numbers of parameters")
    if len(np.unique(size)) < sizes:
        raise InputError(f"counts: {len(np.unique(size))} different sizes, must be at least {sizes}")
    keys = ["size", "model"] if "model" in frame.columns else ["size"]
    columns = frame.groupby(keys, sort=True).ngroup().to_numpy()
    instances, rows = np.unique(frame["instance"].to_numpy(), return_inverse=True)
    shape = (len(instances), columns.max() + 1)
    place = rows * shape[1] + columns
    if len(np.unique(place)) != len(place):
        at = frame.iloc[int(np.flatnonzero(frame.duplicated([*keys, "instance"]))[0])]
        raise InputError(
            f"counts: instance {at['instance']!r} stands twice at size {at['size']:g}; "
            "name the models in a column 'model'"
        )
    if len(place) != shape[0] * shape[1]:
        raise InputError("counts: every model must have the same instances")
    first = np.zeros(shape[1], int)
    first[columns] = np.arange(len(frame))
    labels = frame["model"].to_numpy()[first] if "model" in frame.columns else np.arange(shape[1])

    def matrix(values: NDArray) -> NDArray:
        filled = np.empty(shape[0] * shape[1], values.dtype)
        filled[place] = values
        return filled.reshape(shape)

    about = (instances, size[first], labels)
    if exact:
        log_p = matrix(frame["log_p"].to_numpy(float))
        if not (log_p <= 1e-9).all():
            raise InputError("counts: 'log_p' must be logarithms of probabilities, at most 0")
        log_p = np.minimum(log_p, 0.0)
        return PassTable(*about, np.exp(log_p), log_p=log_p)
    s, k, cut = checked_counts(*(frame[name].to_numpy() for name in COUNTS))
    once = ~cut & (s == 1)
    if once.any() and len(instances) > 1:
        raise InputError(
            "counts: rows stopped at their first pass have no unbiased rate; sample until 2 passes or more"
        )
    # a single instance is fitted by its likelihood, which needs no unbiased rate
    rates = s / k if once.any() else stopped_rate(s, k, cut)
    return PassTable(*about, matrix(rates), *(matrix(v) for v in (s, k, cut)))
