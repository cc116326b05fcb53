"""Likelihoods of the choices under many models, the scores made of them in stages, and what-if versions of them."""

import dataclasses
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_choice, check_range
from densing.errors import InputError

STAGES = ("log_p_vocab", "p_vocab", "p_choices", "brier", "accuracy")
NORMALIZATIONS = ("raw", "byte", "token", "neutral")
MOVEMENTS = ("all", "trend", "scatter")


@dataclass(frozen=True, eq=False)
class ChoiceScores:
    """Log-likelihoods of every choice of many multiple-choice items under many models of one task.

    Parameters
    ----------
    log_p : (models, items, choices) nats, log-likelihood of a choice after the question, summed over its tokens.
    correct : (items,) index of the right choice.
    compute : (models,) scale of each model, in FLOPs or any unit above 0.
    mask : (items, choices) true where an item has that choice; None: everywhere. Under False `log_p` is not read.
    n_bytes, n_tokens : (items, choices) lengths of the choices, for the normalisations "byte" and "token".
    neutral : (models, items, choices) nats, log-likelihood of a choice after a neutral text, for "neutral".

    Raises
    ------
    InputError : shapes that do not fit, compute that is not positive, a right choice outside the choices, or a log p
        that is undefined, infinite or above 0 (names item and model).

    References
    ----------
    Schaeffer et al. (2024), arXiv 2406.04391, sections 2 and 3.
    """

    log_p: NDArray
    correct: NDArray
    compute: NDArray
    mask: NDArray | None = None
    n_bytes: NDArray | None = None
    n_tokens: NDArray | None = None
    neutral: NDArray | None = None

    def __post_init__(self) -> None:
        """Bring everything into arrays and refuse what cannot be scored."""
        log_p = np.asarray(self.log_p, float)
        if log_p.ndim != 3 or log_p.shape[2] < 2 or not log_p.size:
            raise InputError(
                f"log_p: shape {log_p.shape}, must be (models, items, choices), at least two choices"
            )
        items = log_p.shape[1:]
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        mask = np.ones(items, bool) if self.mask is None else np.asarray(self.mask, bool)
        put("mask", _shaped("mask", mask, items))
        put("correct", _shaped("correct", np.asarray(self.correct), items[:1]))
        put("compute", _shaped("compute", np.asarray(self.compute, float), log_p.shape[:1]))
        bad = ~(np.isfinite(self.compute) & (self.compute > 0))
        if bad.any():
            raise InputError(f"compute: model {np.argmax(bad)} has {self.compute[bad][0]}, must be above 0")
        self._check_correct()
        put("log_p", _log_likelihoods("log_p", log_p, self.mask))
        for name in ("n_bytes", "n_tokens"):
            if getattr(self, name) is not None:
                put(name, self._lengths(name))
        if self.neutral is not None:
            neutral = _shaped("neutral", np.asarray(self.neutral, float), log_p.shape)
            put("neutral", _log_likelihoods("neutral", neutral, self.mask))

    def _check_correct(self) -> None:
        choices = self.mask.shape[1]
        correct = self.correct
        whole = correct == np.floor(correct) if correct.dtype.kind == "f" else correct.dtype.kind in "iu"
        bad = ~(np.broadcast_to(whole, correct.shape) & (correct >= 0) & (correct < choices))
        if not bad.any():
            object.__setattr__(self, "correct", correct.astype(int))
            bad = ~self.mask[np.arange(len(correct)), self.correct]
        if bad.any():
            at = int(np.argmax(bad))
            raise InputError(
                f"correct: item {at} has {correct[at]}, must be one of its choices, 0 to {choices - 1}"
            )
        lone = self.mask.sum(axis=1) < 2
        if lone.any():
            raise InputError(f"mask: item {np.argmax(lone)} has a single choice, must have at least two")

    def _lengths(self, name: str) -> NDArray:
        lengths = _shaped(name, np.asarray(getattr(self, name), float), self.mask.shape)
        bad = self.mask & ~(np.isfinite(lengths) & (lengths > 0))
        if bad.any():
            item, choice = np.argwhere(bad)[0]
            raise InputError(
                f"{name}: item {item}, choice {choice} has {lengths[item, choice]}, must be above 0"
            )
        return np.where(self.mask, lengths, 1.0)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of models, items and choices."""
        return self.log_p.shape

    @property
    def scales(self) -> int:
        """Number of different amounts of compute."""
        return len(np.unique(self.compute))

    @property
    def wrong(self) -> NDArray:
        """(items, choices) true at the incorrect choices."""
        return self.mask & (np.arange(self.mask.shape[1]) != self.correct[:, None])

    def normalized(self, normalize: str = "raw") -> NDArray:
        """(models, items, choices) what the choices are compared by; -inf where an item lacks a choice.

        Parameters
        ----------
        normalize : "raw" sums over tokens, "byte" and "token" divide by the choice's length, "neutral" subtracts the
            log-likelihood after a neutral text.

        Raises
        ------
        InputError : an unknown normalisation, or one whose lengths or neutral likelihoods are not there.
        """
        check_choice("normalize", normalize, NORMALIZATIONS)
        needs = {"byte": "n_bytes", "token": "n_tokens", "neutral": "neutral"}.get(normalize)
        if needs and getattr(self, needs) is None:
            raise InputError(f"normalize = {normalize!r}: needs {needs}, which these scores do not have")
        scores = self.log_p
        if normalize == "neutral":
            scores = scores - self.neutral
        elif needs:
            scores = scores / getattr(self, needs)
        return np.where(self.mask, scores, -np.inf)

    def log_odds(self, normalize: str = "raw") -> NDArray:
        """(models, items) ln p_choices - ln(1 - p_choices) of the right choice: it keeps what p_choices rounds off."""
        scores = self.normalized(normalize)
        return self._right(scores) - log_sum_exp(np.where(self.wrong, scores, -np.inf))

    def stage(self, stage: str, normalize: str = "raw", *, ties: str = "first") -> NDArray:
        """Scores of every item under every model at one stage of the way to accuracy.

        Parameters
        ----------
        stage : "log_p_vocab", "p_vocab" (right choice among all strings), "p_choices" (among the given choices),
            "brier" (sum over choices of (p_choices - 1[right])^2, in [0, 2], lower is better) or "accuracy".
        normalize : as `normalized`; every stage is made of the normalised scores.
        ties : "first" counts the first of equally likely choices, "share" counts 1 over their number if the right one
            is among them.

        Returns
        -------
        (models, items).

        Raises
        ------
        InputError : an unknown name, or a normalisation that these scores do not allow.
        """
        check_choice("stage", stage, STAGES)
        check_choice("ties", ties, ("first", "share"))
        scores = self.normalized(normalize)
        right = self._right(scores)
        if stage == "log_p_vocab":
            return right
        if stage == "p_vocab":
            return np.exp(right)
        if stage == "accuracy":
            if ties == "first":
                return (scores.argmax(axis=2) == self.correct).astype(float)
            best = scores == scores.max(axis=2, keepdims=True)
            return self._right(best.astype(float)) / best.sum(axis=2)
        log_shares = scores - log_sum_exp(scores)[..., None]
        if stage == "p_choices":
            return np.exp(self._right(log_shares))
        right_one = np.arange(self.mask.shape[1]) == self.correct[:, None]
        return ((np.exp(log_shares) - right_one) ** 2).sum(axis=2)

    def select(
        self,
        models: ArrayLike | slice | None = None,
        items: ArrayLike | slice | None = None,
        compute: ArrayLike | None = None,
    ) -> Self:
        """Some of the models and items, by index (repeats allowed) or truth value; `compute` replaces the scale.

        Parameters
        ----------
        models, items : indices, masks or slices; None: all.
        compute : (selected models,) another scale, such as parameters at one budget.
        """
        m, i = _places(models, self.shape[0]), _places(items, self.shape[1])
        return ChoiceScores(
            self.log_p[np.ix_(m, i)],
            self.correct[i],
            self.compute[m] if compute is None else compute,
            self.mask[i],
            None if self.n_bytes is None else self.n_bytes[i],
            None if self.n_tokens is None else self.n_tokens[i],
            None if self.neutral is None else self.neutral[np.ix_(m, i)],
        )

    def freeze_incorrect(self, movement: str = "all") -> Self:
        """The same scores if the incorrect choices did not move with scale; the right ones stay as they are.

        Parameters
        ----------
        movement : what is taken from the log-likelihoods of incorrect choices: "all" sets each to its mean over the
            models, "trend" takes out the straight line in ln compute, "scatter" leaves nothing but mean and line.
        """
        check_choice("movement", movement, MOVEMENTS)
        frozen = {"log_p": self._frozen(self.log_p, movement)}
        if self.neutral is not None:
            frozen["neutral"] = self._frozen(self.neutral, movement)
        return dataclasses.replace(self, **frozen)

    def _frozen(self, log_p: NDArray, movement: str) -> NDArray:
        mean = log_p.mean(axis=0)
        kept = np.broadcast_to(mean, log_p.shape)
        if movement != "all":
            z = np.log(self.compute) - np.log(self.compute).mean()
            line = z[:, None, None] * np.einsum("m,mic->ic", z, log_p - mean) / max((z**2).sum(), 1e-300)
            # a line may leave the range of a log-probability by a little
            kept = np.minimum(log_p - line if movement == "trend" else mean + line, 0.0)
        return np.where(self.wrong, kept, log_p)

    def resample_distractors(self, k: int, seed: int = 0) -> Self:
        """The same items with `k` of their incorrect choices, drawn at random for each item.

        The log odds differ from those against the average of the k drawn choices by a constant only, so rank
        correlations of p_choices are those of either.

        Parameters
        ----------
        k : how many, 1 to the number of incorrect choices of every item.
        seed : of the draw.
        """
        least = int(self.wrong.sum(axis=1).min())
        check_range("k", k, 1, least, integer=True)
        order = np.random.default_rng(seed).random(self.mask.shape)
        order = np.where(self.wrong, order, np.inf)
        order[np.arange(len(order)), self.correct] = -1.0
        kept = np.sort(np.argsort(order, axis=1)[:, : int(k) + 1], axis=1)
        take = lambda values: np.take_along_axis(values, kept if values.ndim == 2 else kept[None], axis=-1)  # noqa: E731
        optional = {name: getattr(self, name) for name in ("n_bytes", "n_tokens", "neutral")}
        return ChoiceScores(
            take(self.log_p),
            (kept == self.correct[:, None]).argmax(axis=1),
            self.compute,
            **{name: None if values is None else take(values) for name, values in optional.items()},
        )

    def _right(self, values: NDArray) -> NDArray:
        return values[:, np.arange(len(self.correct)), self.correct]


def log_sum_exp(values: NDArray) -> NDArray:
    """ln of the sum of exp over the last axis, stable at -2,000; at least one value must be finite."""
    top = values.max(axis=-1, keepdims=True)
    return (top + np.log(np.exp(values - top).sum(axis=-1, keepdims=True)))[..., 0]


def _places(chosen: ArrayLike | slice | None, n: int) -> NDArray:
    every = np.arange(n)
    return every if chosen is None else every[chosen if isinstance(chosen, slice) else np.asarray(chosen)]


def _shaped(name: str, values: NDArray, shape: tuple[int, ...]) -> NDArray:
    if values.shape != shape:
        raise InputError(f"{name}: shape {values.shape}, must be {shape} to go with log_p")
    return values


def _log_likelihoods(name: str, log_p: NDArray, mask: NDArray) -> NDArray:
    bad = mask & ~(np.isfinite(log_p) & (log_p <= 0))
    if bad.any():
        model, item, choice = np.argwhere(bad)[0]
        lacking = np.isnan(log_p[model, item, choice]) and mask.all()
        hint = "; items with fewer choices than others need a mask" if lacking else ""
        raise InputError(
            f"{name}: item {item}, choice {choice} has {log_p[model, item, choice]:g} in model {model}, "
            f"must be a finite log-probability <= 0{hint}"
        )
    return np.where(mask, log_p, 0.0)
