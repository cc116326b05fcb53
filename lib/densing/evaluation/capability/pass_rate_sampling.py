"""PassUntil on the book's generated skills: a decoder answers problems until it has passed often enough."""

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_range
from densing.data.skills.families import Problem
from densing.data.skills.mixture import SKILLS
from densing.data.tokenizers import ANSWER, DOCUMENT, END
from densing.errors import InputError
from densing.evaluation.capability.exact_pass import exact_pass_probability
from densing.evaluation.capability.pass_rate import pass_until
from densing.evaluation.capability.questions import digest, encode

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

    from densing.models.decoder import Decoder
    from densing.models.generation import Samples

VERIFIERS = ("answer", "family")


def problem_name(problem: Problem) -> str:
    """Stable identity of a problem as an item of the battery."""
    return f"{problem.family}-{problem.grade}-{digest(f'{problem.prompt} {problem.answer}'):016x}"


def sampled_passes(
    model: "Decoder",
    tokenizer: "Tokenizer",
    problems: Sequence[Problem],
    *,
    passes: int = 10,
    max_samples: int = 5_000,
    temperature: float = 1.0,
    top_p: float = 1.0,
    verify: str = "answer",
    max_new_tokens: int | None = None,
    batch: int = 512,
    seed: int = 0,
) -> pd.DataFrame:
    """Sample every problem until so many passes.

    Parameters
    ----------
    model, tokenizer : a decoder and its tokenizer.
    problems : what to answer.
    passes, max_samples : as `pass_until`.
    temperature : of sampling, > 0. top_p : share of probability kept, (0, 1].
    verify : ``"answer"``: the sample is the answer, token by token, and ends there; a sample that has left it is not
        finished, since it cannot pass any more, and those that have not share their text, hence their distribution of
        the next token. ``"family"``: the finished text satisfies the family's own check.
    max_new_tokens : longest sample with ``"family"``; None: twice the answer and eight more, as the context allows.
    batch : rows computed at a time.
    seed : of the samples; every problem has its own stream.

    Returns
    -------
    One row a problem: instance, passes, samples, censored, tokens (sampled in all).

    Raises
    ------
    InputError : a value out of range, or temperature 0.
    """
    check_choice("verify", verify, VERIFIERS)
    check_range("temperature", temperature, 0)
    if temperature == 0:
        raise InputError("temperature = 0: greedy decoding has no pass rate; must be above 0")
    rows = []
    prompts, answers = encoded_problems(tokenizer, problems)
    options = {"temperature": temperature, "top_p": top_p}
    logits = _answer_logits(model, prompts, answers) if verify == "answer" else repeat(None)
    for problem, prompt, answer, own in zip(problems, prompts, answers, logits, strict=False):
        sampler: _Sampler | _AnswerSampler
        if own is not None:
            sampler = _AnswerSampler(own, answer, options)
            draw = sampler.draw
        else:
            sampler = _Sampler(model, prompt, options | {"batch": batch})
            room = model.config.context - len(prompt) + 1
            longest = min(max_new_tokens or 2 * len(answer) + 8, room)
            draw = _checked(sampler, tokenizer, problem, longest)
        name = problem_name(problem)
        found = pass_until(
            draw,
            bool,
            passes=passes,
            max_samples=max_samples,
            batch=max_samples,
            seed=digest(f"{seed} {name}"),
            instance=name,
        )
        rows.append((name, found.passes, found.samples, found.censored, sampler.tokens))
    return pd.DataFrame(rows, columns=["instance", "passes", "samples", "censored", "tokens"])


def encoded_problems(
    tokenizer: "Tokenizer", problems: Sequence[Problem]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Token ids of every prompt (``<doc>`` ... ``<ans>``) and of every answer with its ``<end>``."""
    prompts = encode(tokenizer, [f"{DOCUMENT}{problem.prompt}{ANSWER}" for problem in problems])
    return prompts, encode(tokenizer, [problem.answer + END for problem in problems])


def exact_passes(
    model: "Decoder",
    tokenizer: "Tokenizer",
    problems: Sequence[Problem],
    *,
    temperature: float = 1.0,
    top_p: float = 1.0,
) -> pd.DataFrame:
    """Exact log pass probability of every problem, the same after another problem's question, and the greedy answer.

    Parameters
    ----------
    model, tokenizer, problems : as `sampled_passes`; all problems of one family and grade.
    temperature, top_p : of the samples to compare with; must be 1.

    Returns
    -------
    One row a problem: instance, log_p and blind_log_p (nats, with ``<end>``; blind: after the question of the
    neighbour), greedy (whether greedy decoding gives the answer).

    Raises
    ------
    InputError : a temperature or top_p other than 1 (the probability would be another), fewer than two problems, or
        problems of several families or grades.
    """
    from densing.models.generation import sample

    for name, value in (("temperature", temperature), ("top_p", top_p)):
        if value != 1:
            raise InputError(
                f"{name} = {value!r}: exact probabilities are those of sampling at temperature 1 with top_p 1"
            )
    kinds = {(problem.family, problem.grade) for problem in problems}
    if len(kinds) != 1 or len(problems) < 2:
        raise InputError(
            f"problems: must be two or more of one family and grade, are {len(problems)} of {sorted(kinds)}"
        )
    prompts, answers = encoded_problems(tokenizer, problems)
    n = len(problems)
    partners = [i ^ 1 if i ^ 1 < n else i - 1 for i in range(n)]
    log_p = exact_pass_probability(
        model, [*prompts, *(prompts[i] for i in partners)], [*answers, *answers], log=True
    )
    drawn = sample(model, prompts, max(map(len, answers)), tokenizer.token_to_id(END), temperature=0)
    greedy = [
        bool(np.array_equal(row[:length], answer))
        for row, length, answer in zip(drawn.tokens, drawn.lengths, answers, strict=True)
    ]
    names = [problem_name(problem) for problem in problems]
    return pd.DataFrame({"instance": names, "log_p": log_p[:n], "blind_log_p": log_p[n:], "greedy": greedy})


class _Sampler:
    """Draws continuations of one prompt and counts their tokens."""

    def __init__(self, model: "Decoder", prompt: np.ndarray, options: dict[str, float]) -> None:
        self.model, self.prompt, self.options = model, prompt, options
        self.tokens = 0

    def draw(self, count: int, rng: np.random.Generator, longest: int, **how: Any) -> "Samples":
        from densing.models.generation import sample

        found = sample(
            self.model,
            [self.prompt],
            longest,
            seed=int(rng.integers(2**63)),
            samples=count,
            **self.options,
            **how,
        )
        self.tokens += int(found.lengths.sum())
        return found


class _AnswerSampler:
    """Draws samples token by token and drops each at its first token off the answer, ``<end>`` included."""

    def __init__(self, logits: "Tensor", answer: np.ndarray, options: dict[str, float]) -> None:
        self.logits, self.answer, self.options = logits, answer, options
        self.tokens = 0

    def draw(self, count: int, rng: np.random.Generator) -> list[bool]:
        from densing.models.sampling import choose_tokens

        alive = np.arange(count)
        for logits, right in zip(self.logits, self.answer, strict=True):
            self.tokens += len(alive)
            drawn = choose_tokens(logits[None], rng.random(len(alive)), **self.options)
            alive = alive[drawn == right]
            if not len(alive):
                break
        return np.isin(np.arange(count), alive).tolist()


def _answer_logits(
    model: "Decoder", prompts: Sequence[np.ndarray], answers: Sequence[np.ndarray], batch: int = 32
) -> Iterator["Tensor"]:
    """Logits (answer length, vocab_size) before each token of every answer, given its beginning."""
    import torch

    device = model.embedding.weight.device
    for first in range(0, len(prompts), batch):
        pairs = list(zip(prompts[first : first + batch], answers[first : first + batch], strict=True))
        rows = np.zeros((len(pairs), max(len(p) + len(a) for p, a in pairs) - 1), np.int64)
        for row, (prompt, answer) in zip(rows, pairs, strict=True):
            text = np.concatenate([prompt, answer[:-1]])
            row[: len(text)] = text  # causal: what pads it to the right is not read
        with torch.inference_mode():
            logits = model(torch.from_numpy(rows).to(device))
        for own, (prompt, answer) in zip(logits, pairs, strict=True):
            yield own[len(prompt) - 1 : len(prompt) - 1 + len(answer)]


def _checked(
    sampler: _Sampler, tokenizer: "Tokenizer", problem: Problem, longest: int
) -> Callable[[int, np.random.Generator], list[bool]]:
    """Draws whole samples and lets the family check their text."""
    verify = SKILLS[problem.family].verify
    stop = tokenizer.token_to_id(END)
    known: dict[bytes, bool] = {}

    def passed(tokens: np.ndarray) -> bool:
        key = tokens.tobytes()
        if key not in known:
            known[key] = bool(verify(problem, tokenizer.decode(tokens.tolist())))
        return known[key]

    def draw(count: int, rng: np.random.Generator) -> list[bool]:
        found = sampler.draw(count, rng, longest, stop=stop)
        return [bool(found.stopped[row]) and passed(found[row]) for row in range(count)]

    return draw
