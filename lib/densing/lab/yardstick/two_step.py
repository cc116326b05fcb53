"""Two-step estimation: loss of the answers from size and tokens, score from that loss, and both ways back."""

import math
import warnings

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_columns, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.lab.yardstick.curves import NAMES, FittedCurve, effective_parameters, fit_curve, loss_at
from densing.lab.yardstick.noise import Noise, add_lack_of_fit, draw_effects, estimate_seed_noise
from densing.lab.yardstick.rows import REFERENCE_TOKENS, read_reference
from densing.lab.yardstick.score_curve import LEVELS, ScoreCurve, fit_scores
from densing.laws.capability.sigmoid import loss_to_score, score_to_loss


class TwoStepReference:
    """A family's map from size and tokens to a task's score, fitted in two steps and inverted.

    Step 1: loss of the right answers, l(N, D) = E + a / N^alpha + b / D^beta, by least squares of logarithms; E = 0
    unless asked for. Step 2: S(l) = c / (1 + exp(-gamma (l - l0))) + d by a Huber loss, with floor d at chance and
    ceiling c + d = 1, unless at least eight cells span the curve from a tenth to nine tenths: then c and d are fitted.

    Parameters
    ----------
    level : of the intervals. draws : refits for intervals, 100 to 20,000. seed : of the simulation.

    Attributes
    ----------
    curve, noise : fitted step 1 and the scatter of its log loss. scores : fitted step 2. chance : the floor given.

    References
    ----------
    Xiao et al. (2024), arXiv 2412.04315, section on loss and performance estimation.
    """

    curve: FittedCurve
    noise: Noise
    scores: ScoreCurve
    chance: float
    _refits: tuple[NDArray, NDArray] | None = None

    def __init__(self, *, level: float = 0.95, draws: int = 2000, seed: int = 0):
        check_range("level", level, 0, 1, open_low=True, open_high=True)
        check_range("draws", draws, 100, 20_000, integer=True)
        check_range("seed", seed, 0, 2**32 - 1, integer=True)
        self.level, self.draws, self.seed = level, int(draws), int(seed)

    def fit(
        self,
        frame: pd.DataFrame,
        size: str = "n_parameters",
        tokens: str = "tokens",
        loss: str = "conditional_loss",
        score: str = "accuracy",
        chance: float = 0.25,
        constant: bool = False,
        *,
        run_seed: str = "seed",
    ) -> "TwoStepReference":
        """Fit both steps to a family's runs.

        Parameters
        ----------
        frame : one row a size, seed and budget.
        size, tokens, loss, score, run_seed : columns of the parameters, the tokens, the mean nats per answer token, the
            score in [0, 1] and the seed (absent: all rows are of one seed). With one budget step 1 is a curve of it.
        chance : score of guessing, in [0, 1); of a generation task its blind rate.
        constant : whether step 1 has a floor E.

        Raises
        ------
        InputError : a missing column, losses that are not positive, scores outside [0, 1], fewer than four sizes, two
            budgets, or a loss that does not fall with size.
        """
        check_range("chance", chance, 0, 1, open_high=True)
        check_columns("frame", frame.columns, [size, tokens, loss, score])
        values = frame[score].to_numpy(float)
        if not ((values >= 0) & (values <= 1)).all():
            bad = values[~((values >= 0) & (values <= 1))][0]
            hint = "; divide by 100 if it is in percent" if bad > 1 else ""
            raise InputError(f"{score} = {bad:g}: a score must be in [0, 1]{hint}")
        rows = read_reference(frame, loss, size=size, n_parameters=size, tokens=tokens, seed=run_seed)
        one_budget = len(rows.budgets) == 1
        self.curve = fit_curve(rows, one_budget=one_budget, constant=constant)
        if not self.curve.params["alpha"] > 0:
            raise InputError(
                f"loss = {loss!r}: does not fall with size in this family, so cannot be inverted"
            )
        self.noise = add_lack_of_fit(estimate_seed_noise(rows), self.curve)
        self.chance = float(chance)
        self.scores = fit_scores(np.exp(rows.log_loss), values, self.chance, self.curve.cell, rows.size)
        self._refits = None
        return self

    def predict_loss(self, N: ArrayLike, D: ArrayLike) -> NDArray:
        """Answer loss at sizes and tokens, nats per token."""
        self._check_tokens(D)
        return loss_at(self.curve.theta, N, D)

    def predict(self, N: ArrayLike, D: ArrayLike) -> NDArray:
        """Score at sizes `N` and tokens `D`, which broadcast against each other."""
        return loss_to_score(self.predict_loss(N, D), **self.scores.levels)

    def effective_parameters(
        self, score: float, tokens: float = REFERENCE_TOKENS, *, n_seeds: int = 1
    ) -> tuple[float, float, float]:
        """Size at which the family scores `score` after `tokens` tokens, and the ends of its interval.

        The interval covers the family's own scatter in both steps and the seed noise of a score that is the mean of
        `n_seeds` runs.

        Returns
        -------
        Estimate, lower, upper. A score at or below chance has no effective size (nan), one that no size of the family
        reaches an infinite one; both warn with the reason.
        """
        value, log_draws, reason = self.invert(score, tokens, n_seeds=n_seeds)
        if reason:
            warnings.warn(f"score = {score:g}: {reason}", stacklevel=2)
        found = Estimate.from_draws(value, np.exp(log_draws), self.level)
        return found.value, found.lower, found.upper

    def invert(
        self, score: float, tokens: float = REFERENCE_TOKENS, *, n_seeds: int = 1
    ) -> tuple[float, NDArray, str]:
        """Effective size, draws (B,) of its logarithm, and why it is not finite ("" where it is)."""
        check_range("score", score, 0, 1)
        check_range("n_seeds", n_seeds, 1, integer=True)
        self._check_tokens(tokens)
        loss, reason = self.loss_of(score)
        value = float(effective_parameters(self.curve.theta, loss, tokens)) if not math.isnan(loss) else loss
        if not reason and math.isinf(value):
            reason = "its loss is at or below the floor of the first step, which no size reaches"
        losses = self.loss_draws(score, n_seeds=n_seeds)
        # At the floor any larger loss scores the same: no size is small enough to be excluded.
        size = effective_parameters(self.theta_draws, np.where(np.isposinf(losses), 1.0, losses), tokens)
        size = np.where(np.isposinf(losses), 0.0, size)
        with np.errstate(divide="ignore"):
            return value, np.log(size), reason

    def loss_of(self, score: float) -> tuple[float, str]:
        """Answer loss at a score: nan at and below the floor, -inf at and above the ceiling, with the reason."""
        loss, reason = score_to_loss(float(score), **self.scores.levels, reasons=True)
        levels = self.scores.levels
        if score <= levels["d"]:
            return math.nan, str(reason)
        return (-math.inf if score >= levels["c"] + levels["d"] else float(loss)), str(reason)

    def loss_draws(self, score: float, *, n_seeds: int = 1) -> NDArray:
        """Draws (B,) of the answer loss at a score with seed noise; inf at the floor, -inf at the ceiling."""
        normal = np.random.default_rng([self.seed, 2]).standard_normal(self.draws)
        moved = score + normal * math.sqrt(self.scores.noise(score) / n_seeds)
        c, gamma, l0, d = self._draws()[1].T
        with np.errstate(divide="ignore", invalid="ignore"):
            loss = l0 + (np.log(moved - d) - np.log(c + d - moved)) / gamma
        return np.where(moved <= d, np.inf, np.where(moved >= c + d, -np.inf, loss))

    @property
    def theta_draws(self) -> NDArray:
        """Refitted parameters (B, 5) of step 1."""
        return self._draws()[0]

    def _draws(self) -> tuple[NDArray, NDArray]:
        """Refitted parameters of both steps, (B, 5) and (B, 4); made when an interval first asks for them."""
        if self._refits is None:
            rows = self.curve.rows
            effects = draw_effects(self.noise, rows, np.random.default_rng([self.seed, 0]), self.draws)
            self._refits = (
                self.curve.refit(self.curve.log_fitted + effects.total),
                self.scores.refits(np.random.default_rng([self.seed, 1]), self.draws),
            )
        return self._refits

    def summary(self) -> pd.DataFrame:
        """Parameters of both steps with their intervals: columns step, parameter, estimate, lower, upper."""
        rows = []
        for step, names, values, draws in (
            (1, NAMES, self.curve.theta, self._draws()[0]),
            (2, LEVELS, [self.scores.levels[name] for name in LEVELS], self._draws()[1]),
        ):
            for at, name in enumerate(names):
                if self.curve.one_budget and name in ("B", "beta"):
                    continue
                found = Estimate.from_draws(float(values[at]), draws[:, at], self.level)
                rows.append((step, name, found.value, found.lower, found.upper))
        return pd.DataFrame(rows, columns=["step", "parameter", "estimate", "lower", "upper"])

    def _check_tokens(self, tokens: ArrayLike) -> None:
        if not hasattr(self, "curve"):
            raise InputError("predict: fit the reference first")
        for value in np.unique(tokens):
            check_range("tokens", float(value), 0, open_low=True)
            if self.curve.one_budget and value != self.curve.tokens[0]:
                raise InputError(
                    f"tokens = {value:g}: the reference was fitted to one budget, {self.curve.tokens[0]:g} tokens"
                )
