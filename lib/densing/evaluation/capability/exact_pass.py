"""Exact probability that sampling at temperature 1 gives a unique right answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from densing.errors import InputError
from densing.evaluation.batching import row_losses

if TYPE_CHECKING:
    from torch import nn


def exact_pass_probability(
    model: "nn.Module",
    prompts: Sequence[np.ndarray],
    answers: Sequence[np.ndarray],
    *,
    log: bool = False,
    batch_tokens: int = 8_192,
    device: str = "cpu",
) -> np.ndarray:
    """Probability that ancestral sampling at temperature 1, without truncation, continues a prompt with its answer.

    A verifier that accepts one string passes a sample with probability prod p(answer token | before), which one
    forward pass gives: exp(-sum of the answer's token losses). The end mark must belong to the answer, or every
    longer string that starts with it counts as a pass.

    Parameters
    ----------
    model : has ``token_losses(windows)``, nats.
    prompts : token ids of each prompt, at least one token (``<doc>`` ... ``<ans>``).
    answers : token ids of each right answer, at least one token, the last one the end mark.
    log : return natural logarithms (long answers underflow).
    batch_tokens, device : as `row_losses`.

    Returns
    -------
    (items,) probabilities, or their logarithms.

    Raises
    ------
    InputError : not one answer a prompt, an empty prompt or answer, or an item longer than the model's context.

    References
    ----------
    Hu et al. (2023), Unlock predictable scaling from emergent abilities, section 5 (loss-assisted estimate).
    """
    losses = answer_losses(model, prompts, answers, batch_tokens=batch_tokens, device=device)
    total = -np.array([item.sum() for item in losses], dtype=float)
    return total if log else np.exp(total)


def answer_losses(
    model: "nn.Module",
    prompts: Sequence[np.ndarray],
    answers: Sequence[np.ndarray],
    *,
    batch_tokens: int = 8_192,
    device: str = "cpu",
) -> list[np.ndarray]:
    """Losses in nats of the tokens of each answer after its prompt; parameters as `exact_pass_probability`."""
    if len(prompts) != len(answers):
        raise InputError(f"answers: {len(answers)} for {len(prompts)} prompts, must be one each")
    for name, sequences in (("prompts", prompts), ("answers", answers)):
        for i, tokens in enumerate(sequences):
            if not len(tokens):
                raise InputError(f"{name}: item {i} is empty, must be at least one token")
    rows = [np.concatenate([prompt, answer]) for prompt, answer in zip(prompts, answers, strict=True)]
    losses = row_losses(model, rows, batch_tokens=batch_tokens, device=device)
    return [values[len(values) - len(answer) :] for values, answer in zip(losses, answers, strict=True)]
