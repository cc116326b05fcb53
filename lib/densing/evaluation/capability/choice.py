"""Multiple choice as a cloze test: every choice's likelihood after the question, and what scores make of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from densing.checks import check_choice
from densing.errors import InputError
from densing.evaluation.capability.exact_pass import answer_losses

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class EncodedChoices:
    """One question in token ids.

    Parameters
    ----------
    prompt : ids before the choice, at least one.
    choices : ids of each choice, each at least one.
    correct : index of the right choice.
    lengths : length of each choice for ``normalize="length"``: its UTF-8 bytes.
    """

    prompt: np.ndarray
    choices: tuple[np.ndarray, ...]
    correct: int
    lengths: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse a question that cannot be scored."""
        n = len(self.choices)
        if n < 2:
            raise InputError(f"choices: {n}, must be at least 2")
        if not 0 <= self.correct < n:
            raise InputError(f"correct = {self.correct!r}: must be a choice, 0 to {n - 1}")
        if len(self.lengths) != n or min(self.lengths) <= 0:
            raise InputError(f"lengths = {self.lengths!r}: must be one positive number a choice ({n})")


@dataclass(frozen=True)
class ChoiceMeasures:
    """Scores of many questions with as many choices each.

    Parameters
    ----------
    p_vocab : (items,) probability of the right choice among all strings.
    p_choices : (items,) among the given choices.
    brier : (items,) sum over choices of (p_choices - 1[right])^2, in [0, 2].
    accuracy : (items,) 1 where the right choice is the likeliest (of a tie, the first), else 0.
    """

    p_vocab: np.ndarray
    p_choices: np.ndarray
    brier: np.ndarray
    accuracy: np.ndarray


def choice_measures(log_p: np.ndarray, correct: np.ndarray) -> ChoiceMeasures:
    """What becomes of the log-likelihoods of the choices on the way to accuracy.

    Parameters
    ----------
    log_p : (items, choices) nats, sums over tokens, finite or -inf in some (not all) choices.
    correct : (items,) index of the right choice.

    Raises
    ------
    InputError : other shapes, an index that is no choice, or a value above 0 or undefined.

    References
    ----------
    Schaeffer et al. (2024), Why has predicting downstream capabilities remained elusive?, section 3.
    """
    log_p, correct = np.asarray(log_p, float), np.asarray(correct)
    if log_p.ndim != 2 or correct.shape != log_p.shape[:1]:
        raise InputError(f"correct: shape {correct.shape} for log_p {log_p.shape}, must be one index a row")
    if len(correct) and not (0 <= correct.min() and correct.max() < log_p.shape[1]):
        raise InputError(f"correct: {correct.min()} to {correct.max()}, must be 0 to {log_p.shape[1] - 1}")
    bad = np.flatnonzero(~(log_p <= 0).all(axis=1) | np.isneginf(log_p).all(axis=1))
    if len(bad):
        raise InputError(
            f"log_p: item {bad[0]} holds {log_p[bad[0]]}, must be log-probabilities <= 0, one finite"
        )
    rows = np.arange(len(log_p))
    # log-sum-exp: the likelihood of a sentence underflows long before its share among the choices does
    shifted = log_p - log_p.max(axis=1, keepdims=True)
    p = np.exp(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
    right = np.zeros_like(p)
    right[rows, correct] = 1
    return ChoiceMeasures(
        p_vocab=np.exp(log_p[rows, correct]),
        p_choices=p[rows, correct],
        brier=((p - right) ** 2).sum(axis=1),
        accuracy=likeliest_is_correct(log_p, correct),
    )


def likeliest_is_correct(scores: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """(items,) 1.0 where the largest of `scores` (items, choices) is the right one; of a tie, the first counts."""
    return (np.argmax(scores, axis=1) == np.asarray(correct)).astype(float)


def multiple_choice_error(
    model: "nn.Module",
    items: Sequence[EncodedChoices],
    normalize: str = "none",
    *,
    batch_tokens: int = 8_192,
    device: str = "cpu",
) -> float:
    """Share of questions whose likeliest choice is not the right one (top-1 error).

    Parameters
    ----------
    model : has ``token_losses(windows)``, nats.
    items : questions in token ids, as `encode_choices` makes them; their numbers of choices may differ.
    normalize : "none" compares sums over tokens, "length" divides each by the length of its choice in bytes.
    batch_tokens, device : as `row_losses`.

    Raises
    ------
    InputError : no items, an unknown `normalize`, or an item longer than the model's context.

    References
    ----------
    Gao et al., A framework for few-shot language model evaluation (``acc`` and ``acc_norm``).
    """
    check_choice("normalize", normalize, ("none", "length"))
    if not items:
        raise InputError("items: must hold at least one question")
    wrong = 0
    for item, log_p in zip(items, choice_log_p(model, items, batch_tokens, device), strict=True):
        score = log_p / item.lengths if normalize == "length" else log_p
        wrong += int(np.argmax(score)) != item.correct
    return wrong / len(items)


def choice_log_p(
    model: "nn.Module", items: Sequence[EncodedChoices], batch_tokens: int = 8_192, device: str = "cpu"
) -> list[np.ndarray]:
    """Log-likelihood in nats of every choice of every item after its prompt, one (choices,) array an item."""
    prompts = [item.prompt for item in items for _ in item.choices]
    choices = [choice for item in items for choice in item.choices]
    losses = answer_losses(model, prompts, choices, batch_tokens=batch_tokens, device=device)
    flat = -np.array([values.sum() for values in losses])
    return np.split(flat, np.cumsum([len(item.choices) for item in items])[:-1])
