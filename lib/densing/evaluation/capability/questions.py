"""Multiple-choice questions of the battery: what one is, and the six families that make them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from densing.checks import check_choice, check_range
from densing.data.tokenizers import ANSWER, DOCUMENT, END, SPECIALS
from densing.errors import InputError
from densing.evaluation.capability.choice import EncodedChoices

if TYPE_CHECKING:
    from tokenizers import Tokenizer

CHOICE_FAMILIES = ("doc_next", "doc_match", "fact_recall", "fact_hop", "arith_choice", "code_close")
MOST_CHOICES = 8


@dataclass(frozen=True)
class ChoiceItem:
    """One multiple-choice question as text; special tokens are written out (``<ans>``, ``<end>``).

    Parameters
    ----------
    item : stable identity: family, grade and a hash of question and right choice.
    family, grade : which questions it belongs to.
    prompt : the text before the choice, without the leading ``<doc>``.
    neutral : what stands in its place when the choice is scored without the question.
    choices : the continuations to choose from.
    correct : index of the right one; its place is random, and fixed for each item.
    group : stratum (frequency of the fact) or cluster (document that the text is from).
    """

    item: str
    family: str
    grade: int
    prompt: str
    neutral: str
    choices: tuple[str, ...]
    correct: int
    group: str = ""


@dataclass(frozen=True)
class Question:
    """A question before its choices are put in order: `wrong` holds `MOST_CHOICES` - 1, the best ones first."""

    family: str
    grade: int
    prompt: str
    neutral: str
    right: str
    wrong: tuple[str, ...]
    group: str = ""

    def item(self, choices: int) -> ChoiceItem:
        """The question with `choices` choices."""
        number = digest(f"{self.family}\x00{self.prompt}\x00{self.right}")
        name = f"{self.family}-{self.grade}-{number:016x}"
        place = digest(name) % choices
        wrong = self.wrong[: choices - 1]
        ordered = (*wrong[:place], self.right, *wrong[place:])
        return ChoiceItem(
            name, self.family, self.grade, self.prompt, self.neutral, ordered, place, self.group
        )


def digest(text: str) -> int:
    """A 64-bit number from SHA-256: the same in every version of every package."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def choice_items(family: str, count: int = 500, *, choices: int = 4, seed: int = 0) -> list[ChoiceItem]:
    """The first `count` questions of a family; a longer list begins with the shorter one, grade by grade.

    Parameters
    ----------
    family : ``"doc_next"`` (the line that follows, against lines of like length from other documents),
        ``"doc_match"`` (the summary line that documents a name), ``"fact_recall"`` and ``"fact_hop"`` (one
        invented fact, and two composed; grade 1 and 2, group is the frequency in training), ``"arith_choice"``
        (a sum against near misses; grade is the operands' digits), ``"code_close"`` (the two brackets that
        close code). Text is from the validation distributions, never from training.
    count : how many at most; a family may have fewer.
    choices : 2, 4 or 8; chance is 1 / choices (except ``code_close`` with 8: only six endings are ever right, so
        a model that always likes the same one can do better or worse).
    seed : of the order, and of the sums and wrong answers that are drawn.

    Raises
    ------
    InputError : an unknown family, or a value out of range.
    """
    check_choice("family", family, CHOICE_FAMILIES)
    check_range("count", count, 1, integer=True)
    check_choice("choices", choices, (2, 4, 8))
    check_range("seed", seed, 0, integer=True)
    return [question.item(choices) for question in _questions(family, int(count), int(seed))]


@lru_cache(maxsize=64)
def _questions(family: str, count: int, seed: int) -> list[Question]:
    from densing.evaluation.capability import skill_questions, text_questions

    if family in skill_questions.MAKERS:
        return skill_questions.MAKERS[family](count, seed)
    questions = text_questions.load_text_questions()[family]
    return sorted(questions, key=lambda q: digest(f"{seed} {q.prompt} {q.right}"))[:count]


def encode_choices(
    tokenizer: "Tokenizer", items: Sequence[ChoiceItem], *, neutral: bool = False
) -> list[EncodedChoices]:
    """Questions in token ids: ``<doc>`` and the prompt, and each choice by itself.

    Prompt and choice are encoded apart, so that the choice's first token never depends on the prompt; a choice
    that continues a line starts with its blank.

    Parameters
    ----------
    tokenizer : one of the book's, with its special tokens.
    items : as `choice_items` returns them.
    neutral : put each item's neutral text in the place of its prompt.

    Raises
    ------
    InputError : a tokenizer without the special tokens.
    """
    prompts = encode(tokenizer, [DOCUMENT + (item.neutral if neutral else item.prompt) for item in items])
    flat = encode(tokenizer, [choice for item in items for choice in item.choices])
    encoded, start = [], 0
    for item, prompt in zip(items, prompts, strict=True):
        stop = start + len(item.choices)
        lengths = tuple(text_bytes(choice) for choice in item.choices)
        encoded.append(EncodedChoices(prompt, tuple(flat[start:stop]), item.correct, lengths))
        start = stop
    return encoded


def encode(tokenizer: "Tokenizer", texts: Sequence[str]) -> list[np.ndarray]:
    """Token ids of each text, special tokens by their names."""
    for name in (DOCUMENT, ANSWER, END):
        if tokenizer.token_to_id(name) is None:
            raise InputError(f"tokenizer: must have the special token {name}")
    encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array(encoding.ids, np.int64) for encoding in encodings]


def text_bytes(choice: str) -> int:
    """UTF-8 bytes of a choice, special tokens not counted, at least 1."""
    for name in SPECIALS:
        choice = choice.replace(name, "")
    return max(1, len(choice.encode()))
