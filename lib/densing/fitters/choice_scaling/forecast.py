"""Joint forecast of multiple-choice accuracy: every choice's likelihood at the target scale, simulated together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from densing.checks import check_choice, check_flag, check_range
from densing.errors import InputError
from densing.fitters.choice_scaling.choice_laws import ChoiceLaws, choose_exponent, fit_choice_laws

EXPONENTS = tuple(round(0.05 * step, 2) for step in range(31))
LEAST_SCALES = 4
LEAST_ITEMS = 20
_MODEL_DRAWS = 60  # resamples of the models for the uncertainty of the exponent
_EXPONENT_DRAWS = 12  # of these, different exponents that the simulation passes through at most


@dataclass(frozen=True, eq=False)
class ChoiceForecast:
    """Forecast scores of one model at each target scale.

    Attributes
    ----------
    compute : (targets,).
    accuracy, accuracy_lower, accuracy_upper : (targets,) mean over the simulated models and the interval in which the
        accuracy of one model on the same items should lie.
    p_choices, p_choices_lower, p_choices_upper : (targets,) the same for the mean p_choices.
    item_accuracy, item_p_choices : (targets, items) means over the simulated models.
    level : of the intervals.
    """

    compute: NDArray
    accuracy: NDArray
    accuracy_lower: NDArray
    accuracy_upper: NDArray
    p_choices: NDArray
    p_choices_lower: NDArray
    p_choices_upper: NDArray
    item_accuracy: NDArray
    item_p_choices: NDArray
    level: float


class JointChoiceForecast:
    """Accuracy at a larger scale, by way of a scaling law for every choice of every item.

    log p(c) = -(c_0 + c_1 C^-alpha), one alpha for the task, c_0 and c_1 for each choice of each item, the slopes
    shrunken by empirical Bayes towards those of choices with a like level. Models at the target scale are simulated:
    residuals of all choices and items are drawn together, as random combinations of the fitted models' residuals,
    which keeps the covariance of the choices of an item and of the items under one model.

    Parameters
    ----------
    incorrect : "law" forecasts the incorrect choices like the right one; "last" leaves them at their mean over the
        models with the largest compute, as if only the right choice's probability changed.
    shrink : whether slopes are shrunken.
    exponents : candidates for alpha, >= 0; 0 is a line in ln C.
    draws : simulated models at each target, 50 to 20,000.
    level : of the intervals.
    seed : of the simulation.

    Raises
    ------
    InputError : a value out of range.

    References
    ----------
    Schaeffer et al. (2024), arXiv 2406.04391, propose to model the probability of incorrect choices; the model here is
    the book's own.
    """

    def __init__(
        self,
        *,
        incorrect: str = "law",
        shrink: bool = True,
        exponents: Sequence[float] = EXPONENTS,
        draws: int = 500,
        level: float = 0.95,
        seed: int = 0,
    ):
        check_choice("incorrect", incorrect, ("law", "last"))
        check_flag("shrink", shrink)
        check_range("draws", draws, 50, 20_000, integer=True)
        check_range("level", level, 0, 1, open_low=True, open_high=True)
        check_range("seed", seed, 0, integer=True)
        if not len(exponents):
            raise InputError("exponents: must hold at least one value")
        for value in exponents:
            check_range("exponents", value, 0, 10)
        self.incorrect, self.shrink, self.exponents = incorrect, shrink, np.array(exponents, float)
        self.draws, self.level, self.seed = int(draws), level, int(seed)

    def fit(
        self, log_p: ArrayLike, correct: ArrayLike, compute: ArrayLike, mask: ArrayLike | None = None
    ) -> "JointChoiceResults":
        """Fit the laws of all choices.

        Parameters
        ----------
        log_p : (models, items, choices) nats, or these normalised by length; what accuracy compares.
        correct : (items,) index of the right choice.
        compute : (models,) above 0, at least four different values.
        mask : (items, choices) true where an item has the choice; None: everywhere.

        Raises
        ------
        InputError : shapes that do not fit, values that are not finite, fewer than four scales or 20 items.
        """
        log_p, compute, correct = np.asarray(log_p, float), np.asarray(compute, float), np.asarray(correct)
        if log_p.ndim != 3 or compute.shape != log_p.shape[:1] or correct.shape != log_p.shape[1:2]:
            raise InputError(
                f"log_p {log_p.shape}, correct {correct.shape}, compute {compute.shape}: must be "
                "(models, items, choices), (items,) and (models,)"
            )
        mask = np.ones(log_p.shape[1:], bool) if mask is None else np.asarray(mask, bool)
        _check(log_p, correct, compute, mask)
        right = np.zeros(mask.shape, bool)
        right[np.arange(len(correct)), correct] = True
        with threadpool_limits(limits=1):
            return JointChoiceResults(self, log_p, compute, mask, right)


class JointChoiceResults:
    """Fitted laws of all choices; made by `JointChoiceForecast.fit`.

    Attributes
    ----------
    alpha : shared exponent with the largest profile likelihood.
    alpha_draws : exponents after resampling the models.
    laws : the fitted lines at `alpha`.
    """

    def __init__(
        self, options: JointChoiceForecast, log_p: NDArray, compute: NDArray, mask: NDArray, right: NDArray
    ):
        self._options, self._mask, self._right = options, mask, right
        self._log_compute = np.log(compute)
        lawful = mask & right if options.incorrect == "last" else mask
        self._lawful = lawful
        self._y, self._kind = -log_p[:, lawful], right[lawful].astype(int)
        last = log_p[compute == compute.max()].mean(axis=0)
        self._resting = np.where(mask, last, -np.inf)
        z = self._log_compute - self._log_compute.mean()
        n = len(z)
        rng = np.random.default_rng([options.seed, 0])
        counts = rng.multinomial(n, np.full(n, 1 / n), size=4 * _MODEL_DRAWS).astype(float)
        # a resample of three scales or fewer bends as it likes
        scales = (counts @ (compute[:, None] == np.unique(compute)) > 0).sum(axis=1)
        counts = np.concatenate([np.ones((1, n)), counts[scales >= LEAST_SCALES][:_MODEL_DRAWS]])
        found = choose_exponent(self._y, z, options.exponents, counts)
        self.alpha, self.alpha_draws = float(found[0]), found[1:] if len(found) > 1 else found
        self.laws = self._fit(self.alpha)

    def _fit(self, alpha: float) -> ChoiceLaws:
        return fit_choice_laws(self._y, self._log_compute, alpha, self._kind, shrink=self._options.shrink)

    def predict(self, compute: ArrayLike) -> ChoiceForecast:
        """Scores of one model at each of `compute` (targets,), in the unit that was fitted.

        Raises
        ------
        InputError : compute that is not above 0.
        """
        compute = np.atleast_1d(np.asarray(compute, float))
        for value in compute:
            check_range("compute", float(value), 0, open_low=True)
        different, place = np.unique(compute, return_inverse=True)
        with threadpool_limits(limits=1):
            hits, shares, accuracy, p_choices = self._simulate(np.log(different))
        ends = [(1 - self._options.level) / 2, (1 + self._options.level) / 2]
        accuracy_ends, p_ends = np.quantile(accuracy, ends, axis=0), np.quantile(p_choices, ends, axis=0)
        return ChoiceForecast(
            compute,
            accuracy.mean(axis=0)[place],
            *(accuracy_ends[:, place]),
            p_choices.mean(axis=0)[place],
            *(p_ends[:, place]),
            hits[place],
            shares[place],
            self._options.level,
        )

    def _simulate(self, log_compute: NDArray) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Item means of accuracy and p_choices (targets, items), and their means over items (draws, targets)."""
        options = self._options
        rng = np.random.default_rng([options.seed, 1])
        spread_out = np.quantile(self.alpha_draws, (np.arange(_EXPONENT_DRAWS) + 0.5) / _EXPONENT_DRAWS)
        alphas, counts = np.unique(
            np.resize(rng.permutation(self._nearest(spread_out)), options.draws), return_counts=True
        )
        targets, items = len(log_compute), len(self._mask)
        hits, shares = np.zeros((2, targets, items))
        accuracy, p_choices = np.empty((2, options.draws, targets))
        done = 0
        for alpha, count in zip(alphas, counts, strict=True):
            laws = self._fit(float(alpha))
            rows = slice(done, done + count)
            done += count
            for at, simulated in enumerate(self._models(laws, log_compute, count, rng)):
                hit, share = self._scores(simulated)
                hits[at] += hit.sum(axis=0)
                shares[at] += share.sum(axis=0)
                accuracy[rows, at], p_choices[rows, at] = hit.mean(axis=1), share.mean(axis=1)
        return hits / options.draws, shares / options.draws, accuracy, p_choices

    def _nearest(self, alphas: NDArray) -> NDArray:
        grid = self._options.exponents
        return grid[np.abs(alphas[:, None] - grid).argmin(axis=1)]

    def _models(self, laws: ChoiceLaws, log_compute: NDArray, count: int, rng: np.random.Generator):
        """For each target (count, items, choices) simulated log p."""
        n = len(laws.residuals)
        freedom = max(n - 2, 1)
        # residuals of few models understate their variance at random: a t distribution, not a normal one
        scale = np.sqrt(freedom / rng.chisquare(freedom, (count, 1)))
        unit = (laws.residuals / np.sqrt(freedom)).astype(np.float32)
        draw = lambda: (scale * rng.standard_normal((count, n))).astype(np.float32) @ unit  # noqa: E731
        level_error, slope_error = draw() / np.sqrt(np.float32(n)), draw() * laws.error.astype(np.float32)
        expected, x = laws.value(log_compute), laws.x(log_compute)
        for at in range(len(log_compute)):
            simulated = (
                expected[at].astype(np.float32) + draw() + level_error + np.float32(x[at]) * slope_error
            )
            full = np.broadcast_to(self._resting, (count, *self._mask.shape)).astype(np.float32)
            full[:, self._lawful] = simulated
            yield full

    def _scores(self, log_p: NDArray) -> tuple[NDArray, NDArray]:
        """(count, items) whether the right choice is the likeliest, and its share of the choices' probability."""
        hit = self._right[np.arange(len(self._right)), log_p.argmax(axis=2)]
        log_p -= log_p.max(axis=2, keepdims=True)
        np.exp(log_p, out=log_p)
        correct = self._right.argmax(axis=1)
        return hit, log_p[:, np.arange(len(correct)), correct] / log_p.sum(axis=2)


def _check(log_p: NDArray, correct: NDArray, compute: NDArray, mask: NDArray) -> None:
    if mask.shape != log_p.shape[1:]:
        raise InputError(f"mask: shape {mask.shape}, must be {log_p.shape[1:]}")
    if not (np.isfinite(compute) & (compute > 0)).all():
        raise InputError("compute: must be finite and above 0")
    if len(np.unique(compute)) < LEAST_SCALES:
        raise InputError(
            f"compute: {len(np.unique(compute))} different values, must be at least {LEAST_SCALES}"
        )
    if len(mask) < LEAST_ITEMS:
        raise InputError(f"log_p: {len(mask)} items, must be at least {LEAST_ITEMS}")
    places = np.arange(len(correct))
    inside = (correct >= 0) & (correct < mask.shape[1]) & (correct == np.floor(correct))
    if not inside.all() or not mask[places, correct].all():
        raise InputError("correct: must be the index of one of the item's choices")
    bad = mask & ~np.isfinite(log_p)
    if bad.any():
        model, item, choice = np.argwhere(bad)[0]
        raise InputError(f"log_p: item {item}, choice {choice} of model {model} is not finite")
