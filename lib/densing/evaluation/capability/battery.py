"""The book's battery: every item of every family, asked of one model, one row an item."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_choices, check_range
from densing.data.skills.families import Problem
from densing.data.skills.mixture import SKILLS
from densing.data.tokenizers import ANSWER, DOCUMENT, END
from densing.errors import InputError
from densing.evaluation.batching import context_length
from densing.evaluation.capability.choice import choice_measures, likeliest_is_correct
from densing.evaluation.capability.exact_pass import answer_losses
from densing.evaluation.capability.questions import (
    CHOICE_FAMILIES,
    ChoiceItem,
    choice_items,
    digest,
    encode,
    encode_choices,
)
from densing.evaluation.capability.skill_questions import graded, problems

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import nn

GENERATION_FAMILIES = tuple(name for name, skill in SKILLS.items() if skill.kind == "generation")
# Several written solutions are right: the one at hand has a loss, its probability is no pass rate.
WRITTEN_FAMILIES = ("steps_cot",)


@dataclass
class _Asked:
    """What the model is asked in one go: token ids before and after, and whose item each pair is."""

    names: list[str]
    prompts: list[np.ndarray]
    answers: list[np.ndarray]

    def add(
        self, names: Sequence[str], prompts: Sequence[np.ndarray], answers: Sequence[np.ndarray]
    ) -> slice:
        """Append pairs; returns where they are."""
        start = len(self.names)
        self.names.extend(names)
        self.prompts.extend(prompts)
        self.answers.extend(answers)
        return slice(start, len(self.names))


def evaluate(
    model: "nn.Module",
    tokenizer: "Tokenizer",
    families: Sequence[str] | None = None,
    items: int = 500,
    *,
    choice_items: int | None = None,
    choices: int = 4,
    seed: int = 0,
    device: str = "cpu",
    batch_tokens: int = 8_192,
) -> pd.DataFrame:
    """Ask a model the items of the battery, zero-shot.

    An item's identity and text depend on its family, grade and `seed` alone; asking for more adds items.

    Parameters
    ----------
    model : has ``token_losses(windows)``, nats: a `Decoder` or an adapter with its interface.
    tokenizer : one of the book's, with its special tokens.
    families : some of `CHOICE_FAMILIES` and `GENERATION_FAMILIES`; None: all.
    items : items a family, 20 to 5,000, spread evenly over its grades; a family may have fewer.
    choice_items : the same for the multiple-choice families; None: `items`.
    choices : choices a question, 2, 4 or 8.
    seed : of the items.
    device : where the model is.
    batch_tokens : tokens a forward pass.

    Returns
    -------
    one row an item: item, family, grade, kind, group; tokens (of the answer or the right choice).

    kind ``"choice"``: correct (index), and for each choice k log_p_k and log_p_neutral_k (nats, the choice after
    the question and after a neutral text, sums over tokens), bytes_k, tokens_k; p_vocab, p_choices and brier
    from log_p; accuracy_raw, accuracy_byte (log_p over bytes), accuracy_neutral (log_p minus log_p_neutral), and
    accuracy_blind and p_choices_blind, what the neutral text alone earns.

    kind ``"generation"``: log_p, the exact log pass probability in nats, ``<end>`` included; blind_log_p, of the
    same answer after the question of another item of the family and grade. nan where the grade has one item.

    kind ``"written"`` (several solutions are right, passing needs sampling): log_p of the one solution at hand.

    Raises
    ------
    InputError : an unknown family, a value out of range, a tokenizer without the special tokens, or an item
        longer than the model's context (names it).

    References
    ----------
    Schaeffer et al. (2024), Why has predicting downstream capabilities remained elusive? (p_vocab, p_choices);
    Hu et al. (2023), Unlock predictable scaling from emergent abilities (pass rates).
    """
    every = (*CHOICE_FAMILIES, *GENERATION_FAMILIES)
    if families is not None:
        check_choices("families", families, every)
    check_range("items", items, 20, 5_000, integer=True)
    if choice_items is not None:
        check_range("choice_items", choice_items, 20, 5_000, integer=True)
    check_choice("choices", choices, (2, 4, 8))
    check_range("seed", seed, 0, integer=True)
    chosen = every if families is None else tuple(families)
    asked = _Asked([], [], [])
    parts = [
        _ChoicePart(family, items if choice_items is None else choice_items, choices, seed, tokenizer, asked)
        if family in CHOICE_FAMILIES
        else _GenerationPart(family, items, seed, tokenizer, asked)
        for family in chosen
    ]
    _check_lengths(model, asked)
    losses = answer_losses(model, asked.prompts, asked.answers, batch_tokens=batch_tokens, device=device)
    log_p = -np.array([values.sum() for values in losses])
    return pd.concat([part.rows(log_p) for part in parts], ignore_index=True)


def _check_lengths(model: "nn.Module", asked: _Asked) -> None:
    context = context_length(model)
    for name, prompt, answer in zip(asked.names, asked.prompts, asked.answers, strict=True):
        if context is not None and len(prompt) + len(answer) > context + 1:
            raise InputError(
                f"items: {name} has {len(prompt) + len(answer)} tokens, "
                f"must be at most the model's context {context} and the last one"
            )


class _ChoicePart:
    """The questions of one multiple-choice family."""

    def __init__(
        self, family: str, count: int, choices: int, seed: int, tokenizer: "Tokenizer", asked: _Asked
    ):
        self.items: list[ChoiceItem] = choice_items(family, count, choices=choices, seed=seed)
        self.encoded = encode_choices(tokenizer, self.items)
        self.shape = (len(self.items), choices)
        names = [item.item for item in self.items for _ in item.choices]
        after = [choice for item in self.encoded for choice in item.choices]
        self.asked, self.neutral = (
            asked.add(names, [item.prompt for item in questions for _ in item.choices], after)
            for questions in (self.encoded, encode_choices(tokenizer, self.items, neutral=True))
        )

    def rows(self, log_p: np.ndarray) -> pd.DataFrame:
        after, neutral = (log_p[place].reshape(self.shape) for place in (self.asked, self.neutral))
        correct = np.array([item.correct for item in self.items])
        length = np.array([item.lengths for item in self.encoded])
        tokens = np.array([[len(choice) for choice in item.choices] for item in self.encoded])
        measures, blind = choice_measures(after, correct), choice_measures(neutral, correct)
        columns = _identity(self.items, [item.item for item in self.items], "choice") | {
            "tokens": tokens[np.arange(len(tokens)), correct],
            "correct": correct,
            "p_vocab": measures.p_vocab,
            "p_choices": measures.p_choices,
            "p_choices_blind": blind.p_choices,
            "accuracy_raw": measures.accuracy,
            "accuracy_byte": likeliest_is_correct(after / length, correct),
            "accuracy_neutral": likeliest_is_correct(after - neutral, correct),
            "accuracy_blind": blind.accuracy,
            "brier": measures.brier,
        }
        for name, values in (
            ("log_p", after), ("log_p_neutral", neutral), ("bytes", length), ("tokens", tokens)
        ):  # fmt: skip
            columns |= {f"{name}_{k}": values[:, k] for k in range(values.shape[1])}
        return pd.DataFrame(columns)


class _GenerationPart:
    """The problems of one generated skill."""

    def __init__(self, family: str, count: int, seed: int, tokenizer: "Tokenizer", asked: _Asked):
        by_grade = graded(
            lambda grade, quota: problems(family, grade, quota, seed), SKILLS[family].grades, count
        )
        self.problems: list[Problem] = []
        partners: list[int] = []
        for own in by_grade.values():
            partners += [len(self.problems) + i for i in _partners(len(own))]
            self.problems += own
        names = [_name(problem) for problem in self.problems]
        prompts = encode(tokenizer, [f"{DOCUMENT}{problem.prompt}{ANSWER}" for problem in self.problems])
        self.answers = encode(tokenizer, [problem.answer + END for problem in self.problems])
        self.asked = asked.add(names, prompts, self.answers)
        self.blind = None
        # the only item of a grade has no other question: its blind rate is undefined, not its own rate
        self.alone = np.array(partners) == np.arange(len(partners))
        if family not in WRITTEN_FAMILIES:
            self.blind = asked.add(names, [prompts[i] for i in partners], self.answers)

    def rows(self, log_p: np.ndarray) -> pd.DataFrame:
        names = [_name(problem) for problem in self.problems]
        columns = _identity(self.problems, names, "written" if self.blind is None else "generation")
        columns |= {"tokens": [len(answer) for answer in self.answers], "log_p": log_p[self.asked]}
        if self.blind is not None:
            columns["blind_log_p"] = np.where(self.alone, np.nan, log_p[self.blind])
        return pd.DataFrame(columns)


def _name(problem: Problem) -> str:
    return f"{problem.family}-{problem.grade}-{digest(f'{problem.prompt} {problem.answer}'):016x}"


def _identity(items: Sequence[ChoiceItem] | Sequence[Problem], names: list[str], kind: str) -> dict:
    return {
        "item": names,
        "family": [item.family for item in items],
        "grade": [item.grade for item in items],
        "kind": kind,
        "group": [item.group for item in items],
    }


def _partners(n: int) -> list[int]:
    """A derangement of n items whose pairs stay when n grows: neighbours change places, an odd last one borrows."""
    return [i ^ 1 if i ^ 1 < n else max(i - 1, 0) for i in range(n)]
