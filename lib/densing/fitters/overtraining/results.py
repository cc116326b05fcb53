"""What the chained laws of over-training say: predictions, the best multiplier, and the price of a smaller model."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from densing.checks import check_range
from densing.errors import FitError, InputError
from densing.fitters.bootstrap import Estimate
from densing.fitters.scaling.results import ScalingLawResults
from densing.laws.loss.overtraining import optimal_multiplier, tokens_to_reach

_OBSERVATIONS = 4_000  # draws of a new run, at least


@dataclass(frozen=True, eq=False)
class OverTrainingResults:
    """Fitted laws of loss and error; made by `OverTraining.fit`, never changed.

    Row i of `loss.bootstrap_params` and row i of `error.bootstrap_params` come from one resample.

    Attributes
    ----------
    loss : the law of the loss, parameters e, a, b and eta.
    error : the law of the error, parameters epsilon, k and gamma; None without one.
    resampling : "residual", "case" or "none".
    seed : of the resamples.
    """

    loss: ScalingLawResults
    error: ScalingLawResults | None
    resampling: str
    seed: int

    def __repr__(self) -> str:
        return f"<over-training: {self.loss!r}; {'no error law' if self.error is None else repr(self.error)}>"

    def predict(self, params: ArrayLike, tokens: ArrayLike, level: float = 0.95) -> pd.DataFrame:
        """Loss, and error, of models that were not trained; a row a model.

        The predicted loss goes into the error law, and each resample's loss into the same resample's error law.

        Parameters
        ----------
        params, tokens : sizes N and training tokens D, counted as in the fit; they broadcast.
        level : of the intervals.

        Returns
        -------
        params, tokens, multiplier, flops, loss and error; with resamples also the ends of the interval of each curve
        (``_ci_lower``, ``_ci_upper``) and of a new run (``_obs_lower``, ``_obs_upper``).
        """
        check_range("level", level, 0, 1, open_low=True, open_high=True)
        size, trained = _sizes(params=params, tokens=tokens)
        x = np.stack([6 * size * trained, trained / size])
        frame = pd.DataFrame({"params": size, "tokens": trained, "multiplier": x[1], "flops": x[0]})
        noise = np.random.default_rng([self.seed, 8])
        loss, drawn = self.loss.law.value(self.loss.params.to_numpy(), x), None
        if self.loss.bootstrap_params is not None:
            drawn = self.loss.law.value(self.loss.bootstrap_params, x)
        _add(frame, "loss", loss, drawn, self.loss, level, noise)
        if self.error is not None:
            error = self.error.law.value(self.error.params.to_numpy(), loss[None])
            if drawn is not None:
                # each resample's error law reads the same resample's loss
                drawn = self.error.law.value(self.error.bootstrap_params, drawn[None])
            _add(frame, "error", error, drawn, self.error, level, noise)
        return frame

    def optimal_multiplier(self, level: float = 0.95) -> Estimate:
        """Tokens per parameter of least loss at any compute, (b/a)^(1/(2 eta)), with its interval."""
        names = ("a", "b", "eta")
        value = float(optimal_multiplier(**{n: self.loss.params[n] for n in names}))
        draws = self._draws
        return Estimate.from_draws(value, optimal_multiplier(**{n: draws[n] for n in names}), level)

    def overtraining_cost(
        self,
        params_small: ArrayLike,
        params_optimal: float,
        *,
        multiplier: float | None = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """What it costs to train smaller models to the loss of a compute-optimal one, and what serving them saves.

        Training takes 6 N D FLOPs, a served token 2 N. A smaller model needs more tokens for the same loss; after
        ``break_even_tokens`` served tokens the FLOPs that it saves have paid for them. Below a certain size no number
        of tokens is enough: tokens, FLOPs and the break-even are then inf.

        Parameters
        ----------
        params_small : sizes, at most `params_optimal`, which may be among them.
        params_optimal : size of the model that sets the loss.
        multiplier : tokens per parameter of that model; None: the law's optimum.
        level : of the intervals.

        Returns
        -------
        One row a size: params, tokens, multiplier, training_flops, extra_flops (over those of the reference model),
        saved_per_token and break_even_tokens (nan for the reference's size; not positive where the smaller model is
        cheaper to train too), and the ends of the intervals of tokens and break_even_tokens.

        Raises
        ------
        InputError : a size above `params_optimal`, or a value that is not positive.
        """
        size = self._check_cost(params_small, params_optimal, multiplier, level)
        theta = self.loss.params
        tokens, extra, even = _cost(
            {n: np.array([[theta[n]]]) for n in theta.index}, size, params_optimal, multiplier
        )
        frame = pd.DataFrame(
            {
                "params": size,
                "tokens": tokens[0],
                "multiplier": tokens[0] / size,
                "training_flops": 6 * size * tokens[0],
                "extra_flops": extra[0],
                "saved_per_token": 2 * (params_optimal - size),
                "break_even_tokens": even[0],
            }
        )
        if self.loss.bootstrap_params is not None:
            draws = {n: v[:, None] for n, v in self._draws.items()}
            drawn_tokens, _, drawn_even = _cost(draws, size, params_optimal, multiplier)
            for name, drawn in (("tokens", drawn_tokens), ("break_even_tokens", drawn_even)):
                frame[f"{name}_lower"], frame[f"{name}_upper"] = _ends(drawn, level)
        return frame

    def lifetime_cost(
        self,
        params_small: float,
        params_optimal: float,
        served: ArrayLike,
        *,
        multiplier: float | None = None,
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Training and serving FLOPs of a smaller model of equal loss, over those of the model that sets the loss.

        Parameters
        ----------
        params_small, params_optimal, multiplier, level : as in `overtraining_cost`.
        served : tokens that are served, at or above zero.

        Returns
        -------
        One row a number of served tokens: served, ratio and, with resamples, the ends of its interval (lower, upper).
        """
        self._check_cost(params_small, params_optimal, multiplier, level)
        served = np.atleast_1d(np.asarray(served, dtype=float))
        if not (np.isfinite(served) & (served >= 0)).all():
            raise InputError("served: must be finite numbers, 0 or above")

        def ratio(theta):
            tokens, extra, _ = _cost(theta, np.array([float(params_small)]), params_optimal, multiplier)
            whole = 6 * params_small * tokens - extra
            return (whole + extra + 2 * params_small * served) / (whole + 2 * params_optimal * served)

        theta = self.loss.params
        frame = pd.DataFrame(
            {"served": served, "ratio": ratio({n: np.array([[theta[n]]]) for n in theta.index})[0]}
        )
        if self.loss.bootstrap_params is not None:
            drawn = ratio({n: v[:, None] for n, v in self._draws.items()})
            frame["lower"], frame["upper"] = _ends(drawn, level)
        return frame

    @staticmethod
    def _check_cost(params_small, params_optimal, multiplier, level) -> np.ndarray:
        check_range("params_optimal", params_optimal, 0, open_low=True)
        check_range("level", level, 0, 1, open_low=True, open_high=True)
        if multiplier is not None:
            check_range("multiplier", multiplier, 0, open_low=True)
        (size,) = _sizes(params_small=params_small)
        if (size > params_optimal).any():
            raise InputError(
                f"params_small = {size.max():g}: must be at most params_optimal = {params_optimal:g}"
            )
        return size

    @cached_property
    def _draws(self) -> dict[str, np.ndarray]:
        if self.loss.bootstrap_params is None:
            raise FitError("the fit has no resamples; fit again with bootstrap=1000")
        return dict(zip(self.loss.law.names, self.loss.bootstrap_params.T, strict=True))


def widened_residuals(fit: ScalingLawResults) -> np.ndarray:
    """Residuals (n,) of a fit, centred, and as large as those of the true curve are expected to be."""
    return (fit.resid - fit.resid.mean()) * np.sqrt(fit.nobs / fit.df_resid)


def _add(frame: pd.DataFrame, name: str, value, draws, fit: ScalingLawResults, level: float, rng) -> None:
    """Columns of one prediction: the value, the interval of the curve, the interval of a new run."""
    frame[name] = value
    if draws is None:
        return
    frame[f"{name}_ci_lower"], frame[f"{name}_ci_upper"] = _ends(draws, level)
    repeated = np.tile(draws, (-(-_OBSERVATIONS // len(draws)), 1))
    noise = widened_residuals(fit)
    new = repeated + noise[rng.integers(0, len(noise), repeated.shape)]
    frame[f"{name}_obs_lower"], frame[f"{name}_obs_upper"] = _ends(new, level)


def _ends(draws: np.ndarray, level: float) -> np.ndarray:
    """Percentile ends (2, m) of draws (B, m), which may be infinite; nan where a draw is."""
    ends = np.quantile(draws, ((1 - level) / 2, (1 + level) / 2), axis=0, method="inverted_cdf")
    return np.where(np.isnan(draws).any(axis=0), np.nan, ends)


def _cost(theta: dict[str, np.ndarray], size: np.ndarray, optimal: float, multiplier: float | None):
    """Tokens (B, m) of each size for the loss of the reference, extra training FLOPs, and tokens to break even."""
    if multiplier is None:
        multiplier = optimal_multiplier(a=theta["a"], b=theta["b"], eta=theta["eta"])
    reference = multiplier * optimal
    flops = 6 * optimal * reference
    eta = theta["eta"]
    loss = theta["e"] + (theta["a"] * multiplier**eta + theta["b"] * multiplier**-eta) * flops**-eta
    tokens = np.where(size == optimal, reference, tokens_to_reach(loss, size, **theta))
    extra = 6 * size * tokens - flops
    with np.errstate(divide="ignore", invalid="ignore"):
        even = np.where(size == optimal, np.nan, extra / (2 * (optimal - size)))
    return tokens, extra, even


def _sizes(**values: ArrayLike) -> list[np.ndarray]:
    arrays = []
    for name, value in values.items():
        array = np.atleast_1d(np.asarray(value, dtype=float))
        if array.ndim != 1 or not (np.isfinite(array) & (array > 0)).all():
            raise InputError(f"{name} = {value!r}: must be finite numbers above 0")
        arrays.append(array)
    return [np.array(a) for a in np.broadcast_arrays(*arrays)]
