"""The three published estimators of the optimal vocabulary, with a bootstrap that draws whole runs (Tao et al. 2024).

All take a frame with one row a checkpoint and the columns of the public table: vocab_size, d_model, params_non_vocab,
params_vocab, train_characters, flops, unigram_normalised_loss_nats. Checkpoints of one run (equal sizes) are one cluster.
A column `tokens`, where there is one, holds counted tokens and replaces H·f(V).
"""

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from densing.checks import check_choice, check_columns, check_flag, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate, cluster_weights
from densing.fitters.scaling.estimator import ScalingLaw
from densing.laws.vocabulary_size import (
    SEARCHED,
    Coefficients,
    DerivativeCoefficients,
    IsoFlopCoefficients,
    ParametricCoefficients,
    cheapest_vocabulary,
    embedding_width,
    loss_slope,
    matching_flops,
    optimal_vocabulary,
    tokens_per_character,
)

if TYPE_CHECKING:
    import pandas as pd

LOSS = "unigram_normalised_loss_nats"
_RUN = ["params_non_vocab", "vocab_size"]
_GRID = 200  # budgets on which the envelope is read


@dataclass(frozen=True)
class VocabularyResults:
    """What an estimator of the optimal vocabulary found.

    Attributes
    ----------
    approach : 1 IsoFLOPs, 2 derivative, 3 parametric.
    coefficients : the estimate, as `optimal_vocabulary` takes it.
    draws : the same for every bootstrap resample.
    nobs, n_runs : rows used and the runs they belong to.
    fun : Huber objective (sum, delta 0.001). rms : root mean square residual, in the units of the objective.
    """

    approach: Literal[1, 2, 3]
    coefficients: Coefficients
    draws: tuple[Coefficients, ...]
    nobs: int
    n_runs: int
    fun: float
    rms: float

    def estimate(self, name: str, level: float = 0.95) -> Estimate:
        """A coefficient with its percentile interval.

        Parameters
        ----------
        name : a field of `coefficients`, or "gamma" (exponent of N_v,opt in N_nv; approaches 1 and 2).
        level : of the interval.
        """
        if not isinstance(getattr(self.coefficients, name, None), float):
            raise InputError(f"name = {name!r}: must be a number among the coefficients {self.coefficients}")
        return Estimate.from_draws(getattr(self.coefficients, name), [getattr(d, name) for d in self.draws], level)

    def optimal_vocabulary(
        self, n_nv: float, flops: float | None = None, *, width: float | None = None, level: float = 0.95
    ) -> Estimate:
        """`densing.laws.optimal_vocabulary` with the interval of the resamples.

        A resample whose law has no optimum counts as the end of the searched range (2 to 10 million entries) on the side
        to which its loss falls.
        """
        options = {"approach": self.approach, "width": width}
        value = optimal_vocabulary(n_nv, flops, coefficients=self.coefficients, **options)
        found = [_optimum_or_end(n_nv, flops, draw, options) for draw in self.draws]
        return Estimate.from_draws(value, found, level)


class IsoFlopVocabulary:
    """Approach 1: the lower envelope of the loss over runs at every budget, then power laws in FLOPs.

    The loss of a run between its checkpoints is interpolated in ln C. At each of 200 budgets, evenly spaced in ln C over all
    measured ones, the run with the lowest loss is read; linear interpolation between sizes or vocabularies could not go
    below it. ln N_v = k_v + e_v·ln C is fitted by Huber regression (delta 0.001), ln N_nv with the exponent 0.5 fixed.

    Parameters
    ----------
    min_flops : budgets below are left out.
    draws, seed : of the bootstrap over runs; 0 draws for none.
    """

    def __init__(self, *, min_flops: float = 0.0, draws: int = 1000, seed: int = 0) -> None:
        check_range("min_flops", min_flops, 0)
        check_range("draws", draws, 0, integer=True)
        check_range("seed", seed, 0, integer=True)
        self.min_flops, self.draws, self.seed = min_flops, draws, seed

    def fit(self, frame: "pd.DataFrame") -> VocabularyResults:
        """Fit to checkpoints; see the module for the columns.

        Raises
        ------
        InputError : missing columns, fewer than two sizes or three vocabularies.
        """
        frame = _checked(frame)
        runs = [run.sort_values("flops") for _, run in frame.groupby(_RUN)]
        low = max(self.min_flops, float(frame["flops"].min()))
        budgets = np.linspace(math.log(low), math.log(float(frame["flops"].max())), _GRID)
        losses = np.array(
            [np.interp(budgets, np.log(run["flops"]), run[LOSS], left=np.inf, right=np.inf) for run in runs]
        )
        n_nv = np.log([float(run["params_non_vocab"].iloc[0]) for run in runs])
        n_v = np.log([float(run["params_vocab"].iloc[0]) for run in runs])

        weights = cluster_weights(np.arange(len(runs)), self.draws, self.seed) if self.draws else np.zeros((0, len(runs)))
        present = np.concatenate([np.ones((1, len(runs)), bool), weights > 0])
        best = np.stack([np.where(row[:, None], losses, np.inf).argmin(axis=0) for row in present])
        reached = np.stack([np.isfinite(losses[row]).any(axis=0) for row in present])
        k_v, e_v = _huber_lines(budgets, n_v[best], reached)
        k_nv = [float(np.median((n_nv[row] - 0.5 * budgets)[seen])) for row, seen in zip(best, reached, strict=True)]
        found = [IsoFlopCoefficients(*map(float, row)) for row in zip(k_nv, k_v, e_v, strict=True)]
        residuals = (k_v[0] + e_v[0] * budgets - n_v[best[0]])[reached[0]]
        return _results(1, found[0], tuple(found[1:]), len(frame), len(runs), residuals)


class DerivativeVocabulary:
    """Approach 2: the vocabulary that reads a text with the fewest FLOPs, its growth with size, and a measured anchor.

    f(V) is fitted to the tokens per character that the FLOPs of the table imply; the cheapest vocabulary of every size of the
    table follows by a root; ln of the ratios of N_v to those of the smallest size are regressed through the origin. The
    loss enters only through the anchor: the vocabulary with the lowest loss of the smallest size at `anchor_flops`.

    Parameters
    ----------
    anchor_flops : budget at which the anchor is read; the paper's 2.7e17.
    draws, seed : of the bootstrap over runs; 0 draws for none.
    """

    def __init__(self, *, anchor_flops: float = 2.7e17, draws: int = 1000, seed: int = 0) -> None:
        check_range("anchor_flops", anchor_flops, 0, open_low=True)
        check_range("draws", draws, 0, integer=True)
        check_range("seed", seed, 0, integer=True)
        self.anchor_flops, self.draws, self.seed = anchor_flops, draws, seed

    def fit(self, frame: "pd.DataFrame") -> VocabularyResults:
        """Fit to checkpoints; see the module for the columns.

        Raises
        ------
        InputError : missing columns, fewer than two sizes or three vocabularies, or an anchor budget that no run reaches.
        """
        frame = _checked(frame)
        sizes = frame.drop_duplicates("params_non_vocab").sort_values("params_non_vocab")
        n_nv, width = sizes["params_non_vocab"].to_numpy(float), sizes["d_model"].to_numpy(float)
        smallest = [run.sort_values("flops") for _, run in frame[frame["params_non_vocab"] == n_nv[0]].groupby(_RUN)]
        at = [
            np.interp(math.log(self.anchor_flops), np.log(run["flops"]), run[LOSS], left=np.inf, right=np.inf)
            for run in smallest
        ]
        if not np.isfinite(at).any():
            raise InputError(f"anchor_flops = {self.anchor_flops:g}: no run of the smallest size reaches it")
        log_v = np.log(frame["vocab_size"].to_numpy(float))
        ratio = (frame["flops"] / 6 / (frame["params_non_vocab"] + frame["params_vocab"]) / frame["train_characters"]).to_numpy()
        cluster = frame.groupby(_RUN).ngroup().to_numpy()
        groups = [int(run["vocab_size"].iloc[0]) for run in smallest]

        def solve(weights: np.ndarray) -> tuple[DerivativeCoefficients, np.ndarray]:
            design = np.stack([log_v**2, log_v, np.ones_like(log_v)], axis=1) * np.sqrt(weights)[:, None]
            compression = tuple(map(float, np.linalg.lstsq(design, ratio * np.sqrt(weights), rcond=None)[0]))
            cheapest = np.array([cheapest_vocabulary(n, d, compression=compression) * d for n, d in zip(n_nv, width, strict=True)])
            x, y = np.log(n_nv[1:] / n_nv[0]), np.log(cheapest[1:] / cheapest[0])
            gamma = float(x @ y / (x @ x))
            present = {v for v, w, n in zip(frame["vocab_size"], weights, frame["params_non_vocab"], strict=True) if w and n == n_nv[0]}
            known = [loss if v in present else np.inf for v, loss in zip(groups, at, strict=True)]
            anchor = float(groups[int(np.argmin(known))] * width[0])
            return DerivativeCoefficients(gamma, float(n_nv[0]), anchor, compression), gamma * x - y

        coefficients, residuals = solve(np.ones(len(frame)))
        draws = []
        for weights in cluster_weights(cluster, self.draws, self.seed) if self.draws else []:
            if len(set(log_v[weights > 0])) >= 3:
                draws.append(solve(weights.astype(float))[0])
        return _results(2, coefficients, tuple(draws), len(frame), cluster.max() + 1, residuals)


class ParametricVocabulary:
    """Approach 3: L_u = -E + A1/N_nv^alpha1 + A2/N_v^alpha2 + B/D^beta by the common robust fitter.

    Huber objective on the residuals themselves (L_u is negative), delta 0.001, exponents kept in (0.1, 2).

    Parameters
    ----------
    convention : how tokens D are counted from the characters H. "true_tokens": D = H·f(V), as the law is stated.
        "published": D = H·f(V/1000), what the released script does by dividing V by 1,000 before f; about 2.7 to 3.0
        times too many.
    tied : alpha1 = beta, as published; False leaves them free.
    min_flops : rows below are left out; the paper's 2.18e17.
    starts, draws, seed : of the fitter; 0 draws for no bootstrap, else at least 50.
    """

    def __init__(
        self,
        *,
        convention: Literal["true_tokens", "published"] = "true_tokens",
        tied: bool = True,
        min_flops: float = 2.18e17,
        starts: int = 64,
        draws: int = 1000,
        seed: int = 0,
    ) -> None:
        check_choice("convention", convention, ("true_tokens", "published"))
        check_flag("tied", tied)
        check_range("min_flops", min_flops, 0)
        self.convention, self.tied, self.min_flops = convention, tied, min_flops
        self.starts, self.draws, self.seed = starts, draws, seed

    def fit(self, frame: "pd.DataFrame") -> VocabularyResults:
        """Fit to checkpoints; see the module for the columns.

        Raises
        ------
        InputError : missing columns, too few sizes, vocabularies or rows.
        FitError : no start converges.
        """
        frame = _checked(frame)
        frame = _checked(frame[frame["flops"] >= self.min_flops])
        table = self.table(frame)
        exponents = {name: (0.1, 2.0) for name in ("alpha1", "alpha2", "beta")}
        if self.tied:
            del exponents["alpha1"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # few of the starts agree on this flat objective; tests check the optimum
            fit = ScalingLaw("vocabulary", table, columns={name: name for name in table.columns[:4]}, groups="run").fit(
                scale="identity",
                delta=1e-3,
                tie={"alpha1": "beta"} if self.tied else None,
                bounds=exponents,
                starts=self.starts,
                bootstrap=self.draws,
                seed=self.seed,
            )
        names = list(fit.params.index)
        resampled = [] if fit.bootstrap_params is None else np.asarray(fit.bootstrap_params)
        draws = tuple(ParametricCoefficients(**dict(zip(names, map(float, row), strict=True))) for row in resampled)
        coefficients = ParametricCoefficients(**{name: float(value) for name, value in fit.params.items()})
        return _results(3, coefficients, draws, len(table), table["run"].nunique(), np.asarray(fit.resid))

    def table(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """The inputs of the law: n_nv and n_v in millions, tokens in billions under the convention, y, and the run."""
        import pandas as pd

        if self.convention == "true_tokens" and "tokens" in frame.columns:
            tokens = frame["tokens"]
        else:
            divisor = 1_000 if self.convention == "published" else 1
            tokens = frame["train_characters"] * tokens_per_character(frame["vocab_size"] / divisor)
        return pd.DataFrame(
            {
                "n_nv": frame["params_non_vocab"] / 1e6,
                "n_v": frame["params_vocab"] / 1e6,
                "tokens": tokens / 1e9,
                "y": frame[LOSS],
                "run": frame.groupby(_RUN).ngroup(),
            }
        )

    def residuals(self, frame: "pd.DataFrame", coefficients: ParametricCoefficients) -> np.ndarray:
        """Fitted minus measured loss of given constants on the rows that a fit would use."""
        from densing.laws import get

        table = self.table(frame[frame["flops"] >= self.min_flops])
        constants = {name: getattr(coefficients, name) for name in get("vocabulary").names}
        return get("vocabulary")(table["n_nv"], table["n_v"], table["tokens"], **constants) - table["y"].to_numpy()


def huber_sum(residuals: np.ndarray, delta: float = 1e-3) -> float:
    """Sum of the Huber loss: r²/2 inside `delta`, delta·(|r| - delta/2) outside."""
    check_range("delta", delta, 0, open_low=True)
    size = np.abs(np.asarray(residuals, float))
    return float(np.where(size < delta, 0.5 * size**2, delta * (size - 0.5 * delta)).sum())


def _results(approach, coefficients, draws, nobs: int, n_runs: int, residuals: np.ndarray) -> VocabularyResults:
    rms = float(np.sqrt(np.mean(np.square(residuals))))
    return VocabularyResults(approach, coefficients, draws, nobs, int(n_runs), huber_sum(residuals), rms)


def _checked(frame: "pd.DataFrame") -> "pd.DataFrame":
    needed = [*_RUN, "d_model", "params_vocab", "train_characters", "flops", LOSS]
    check_columns("frame", frame.columns, needed)
    for name in needed:
        values = frame[name].to_numpy(float)
        bad = ~np.isfinite(values) if name == LOSS else ~(np.isfinite(values) & (values > 0))
        if bad.any():
            raise InputError(f"frame: {name} = {values[bad][0]} in row {int(np.flatnonzero(bad)[0])}, must be finite and above 0")
    for name, least in (("params_non_vocab", 2), ("vocab_size", 3)):
        if frame[name].nunique() < least:
            raise InputError(f"frame: {frame[name].nunique()} distinct values of {name}, must be at least {least}")
    return frame


def _huber_lines(x: np.ndarray, y: np.ndarray, used: np.ndarray, delta: float = 1e-3) -> tuple[np.ndarray, np.ndarray]:
    """Intercepts and slopes (B,) of least Huber loss of y (B, n) against x (n,), by reweighted least squares."""
    weights = used.astype(float)
    slope = np.zeros(len(y))
    for _ in range(300):
        total = weights.sum(axis=1)
        x_mean, y_mean = (weights * x).sum(axis=1) / total, (weights * y).sum(axis=1) / total
        deviation = x - x_mean[:, None]
        before, slope = slope, (weights * deviation * y).sum(axis=1) / (weights * deviation**2).sum(axis=1)
        if np.allclose(slope, before, rtol=1e-9, atol=0):
            break
        residual = np.abs(y - y_mean[:, None] - slope[:, None] * deviation)
        weights = used * np.minimum(1.0, delta / np.maximum(residual, 1e-300))
    return y_mean - slope * x_mean, slope


def _optimum_or_end(n_nv: float, flops: float | None, draw: Coefficients, options: dict) -> float:
    try:
        return optimal_vocabulary(n_nv, flops, coefficients=draw, **options)
    except InputError:
        if not isinstance(draw, ParametricCoefficients):
            raise
        width = options["width"] or embedding_width(n_nv)
        budget = matching_flops(n_nv) if flops is None else flops
        falls = loss_slope(math.log(SEARCHED[1]), n_nv, budget, width, draw) <= 0
        return SEARCHED[1] if falls else SEARCHED[0]
