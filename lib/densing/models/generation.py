"""Ancestral sampling from a decoder with cached keys and values, many samples of one prompt at a time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from densing.checks import check_range
from densing.errors import InputError
from densing.models.decoder import Decoder
from densing.models.kernels import swiglu
from densing.models.sampling import choose_tokens

#: Fills the places behind the end of a sample.
PADDING = -1


class CachedDecoder:
    """A decoder that goes on where it stopped; the one place that reads a `Decoder`'s blocks for generation.

    The prompts are read once. A row then belongs to one of them and has a cache of its own for what it adds; rows
    of a single prompt share the prompt's keys and values without a copy.

    Parameters
    ----------
    model : in evaluation mode.
    prompts : token ids, one or more prompts of at least one token.
    room : tokens that a row may add and still ask for logits.
    """

    def __init__(self, model: Decoder, prompts: Sequence[np.ndarray], room: int) -> None:
        self.model, self.room = model, room
        self.device = model.embedding.weight.device
        self.heads = model.config.heads
        self.size = model.config.width // self.heads
        lengths = [len(prompt) for prompt in prompts]
        self.lengths = torch.tensor(lengths, device=self.device)
        self.hidden_keys = None  # (rows, 1, longest prompt): -inf over the padding
        if len(set(lengths)) > 1:
            beyond = torch.arange(max(lengths), device=self.device) >= self.lengths[:, None]
            self.hidden_keys = torch.zeros(beyond.shape, device=self.device).masked_fill(beyond, -math.inf)
            self.hidden_keys = self.hidden_keys[:, None]
        padded = np.zeros((len(prompts), max(lengths)), np.int64)
        for row, prompt in enumerate(prompts):
            padded[row, : len(prompt)] = prompt
        self.before: list[tuple[Tensor, Tensor]] = []  # a block's keys (transposed) and values of the prompts
        self.added: list[tuple[Tensor, Tensor]] = []  # the same of what the rows have added
        self.count = 0
        self.first_logits = self._read(torch.from_numpy(padded).to(self.device))

    def _read(self, tokens: Tensor) -> Tensor:
        """Logits (prompts, vocab_size) after each prompt."""
        model, batch = self.model, len(tokens)
        x = model.embedding(tokens)
        for block in model.blocks:
            q, k, v = self._projected(block, x).permute(2, 0, 3, 1, 4)  # each (batch, heads, length, size)
            q, k = model.rotary(q), model.rotary(k)
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = self._feed(block, x + block.attention_out(mixed.transpose(1, 2).flatten(2)))
            self.before.append((k.transpose(2, 3).contiguous(), v.contiguous()))
        last = x[torch.arange(batch, device=self.device), self.lengths - 1]
        return F.linear(model.norm(last), model.embedding.weight)

    def start(self, rows: int) -> None:
        """Make empty caches for `rows` rows: any number for one prompt, one each for several."""
        shape = (rows, self.heads, self.room, self.size)
        self.added = [
            (torch.empty(shape, device=self.device), torch.empty(shape, device=self.device))
            for _ in self.before
        ]
        self.count = 0

    def step(self, tokens: Tensor) -> Tensor:
        """Add one token a row, (rows,), and return the logits (rows, vocab_size) of the next."""
        model, rows, at = self.model, len(tokens), self.count
        places = (self.lengths + at).expand(rows) if len(self.lengths) == 1 else self.lengths + at
        cosine, sine = (table[places][:, None, None] for table in (model.rotary.cosine, model.rotary.sine))
        x = model.embedding(tokens)[:, None]
        for block, (keys, values), own in zip(model.blocks, self.before, self.added, strict=True):
            q, k, v = self._projected(block, x).permute(2, 0, 3, 1, 4)  # each (rows, heads, 1, size)
            own[0][:rows, :, at : at + 1] = _turned(k, cosine, sine)
            own[1][:rows, :, at : at + 1] = v
            q = _turned(q, cosine, sine) / math.sqrt(self.size)
            mixed = self._attend(q, keys, values, *(cache[:rows, :, : at + 1] for cache in own))
            x = self._feed(block, x + block.attention_out(mixed.transpose(1, 2).flatten(2)))
        self.count += 1
        return F.linear(model.norm(x[:, 0]), model.embedding.weight)

    def _attend(self, q: Tensor, keys: Tensor, values: Tensor, own_k: Tensor, own_v: Tensor) -> Tensor:
        """Mixed values (rows, heads, 1, size) over the prompt and what the row has added."""
        shared = len(keys) == 1 < len(q)
        if shared:  # one product a head over all rows
            before = torch.matmul(q[:, :, 0].transpose(0, 1), keys[0]).transpose(0, 1)[:, :, None]
        else:
            before = torch.matmul(q, keys)
        if self.hidden_keys is not None:
            before = before + self.hidden_keys[:, None]
        scores = torch.cat([before, torch.matmul(q, own_k.transpose(2, 3))], -1)
        weights = torch.softmax(scores, -1)
        of_prompt, of_own = weights.split([before.shape[-1], own_k.shape[2]], -1)
        if shared:
            mixed = torch.matmul(of_prompt[:, :, 0].transpose(0, 1), values[0]).transpose(0, 1)[:, :, None]
        else:
            mixed = torch.matmul(of_prompt, values)
        return mixed + torch.matmul(of_own, own_v)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows only (indices)."""
        filled = self.count
        for caches in self.added:
            for cache in caches:
                cache[: len(rows), :, :filled] = cache[rows, :, :filled]
        if len(self.lengths) > 1:
            self.lengths = self.lengths[rows]
            self.before = [(keys[rows], values[rows]) for keys, values in self.before]
            if self.hidden_keys is not None:
                self.hidden_keys = self.hidden_keys[rows]

    def _projected(self, block: torch.nn.Module, x: Tensor) -> Tensor:
        projected = block.qkv(block.attention_norm(x))
        return projected.view(*x.shape[:2], 3, self.heads, self.size)

    @staticmethod
    def _feed(block: torch.nn.Module, x: Tensor) -> Tensor:
        return x + block.down(swiglu(block.gate_up(block.feed_norm(x))))


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


@dataclass(frozen=True, eq=False)
class Samples:
    """What `sample` drew, one row a sample.

    Attributes
    ----------
    tokens : (rows, longest) token ids, the stop token included, `PADDING` behind the end.
    lengths : (rows,) tokens of each.
    stopped : (rows,) whether the stop token was drawn.
    prompt : (rows,) index of the prompt.
    """

    tokens: np.ndarray
    lengths: np.ndarray
    stopped: np.ndarray
    prompt: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> np.ndarray:
        """The tokens of one sample, without the stop token."""
        return self.tokens[row, : self.lengths[row] - bool(self.stopped[row])]


def sample(
    model: Decoder,
    prompts: Sequence[np.ndarray],
    max_new_tokens: int,
    stop: int | None = None,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    *,
    samples: int = 1,
    batch: int = 256,
    going: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Samples:
    """Draw continuations token by token, with the keys and values of what was read kept.

    With several samples a prompt is read once and its first distribution serves them all. Every sample and place has
    a random number of its own, so a result does not depend on `batch`.

    Parameters
    ----------
    model : a `Decoder`.
    prompts : token ids of each prompt, at least one token.
    max_new_tokens : longest continuation, the stop token included; >= 1.
    stop : token that ends a sample; None: none does.
    temperature : divides the logits, >= 0; 0 takes the most likely token.
    top_p : share of probability kept, (0, 1]: the most likely tokens that reach it, with their probabilities scaled
        to 1. Below 1 some texts become impossible.
    seed : of the random numbers, >= 0.
    samples : continuations of each prompt.
    batch : rows computed at a time.
    going : takes the tokens so far, (rows, t), and returns (rows,) whether a row should go on. A sample that is known
        to fail need not be finished; what is left is cut off and its `stopped` is False.

    Returns
    -------
    `Samples`: those of the first prompt, then of the second, and so on.

    Raises
    ------
    InputError : a value out of range, an empty prompt, or a prompt and continuation longer than the model's context.
    """
    _check(model, prompts, max_new_tokens, temperature, top_p, seed, samples, batch)
    rng = np.random.default_rng(seed)
    was_training = model.training
    model.eval()
    rows = len(prompts) * samples
    tokens = np.full((rows, max_new_tokens), PADDING, np.int64)
    try:
        with torch.inference_mode():
            draw = _Draw(stop, temperature, top_p, going)
            step = batch if samples == 1 else 1
            for first in range(0, len(prompts), step):
                some = [np.asarray(prompt) for prompt in prompts[first : first + step]]
                own = slice(first * samples, (first + len(some)) * samples)
                chance = rng.random((own.stop - own.start, max_new_tokens))
                decoder = CachedDecoder(model, some, max_new_tokens - 1)
                if samples == 1:
                    draw.finish(decoder, decoder.first_logits, tokens[own], chance)
                else:
                    draw.in_batches(decoder, tokens[own], chance, batch)
    finally:
        model.train(was_training)
    lengths = (tokens != PADDING).sum(1)
    longest = max(int(lengths.max()), 1)
    ended = np.zeros(rows, bool) if stop is None else tokens[np.arange(rows), lengths - 1] == stop
    return Samples(tokens[:, :longest], lengths, ended, np.repeat(np.arange(len(prompts)), samples))


@dataclass(frozen=True)
class _Draw:
    """How tokens are chosen and when a row ends."""

    stop: int | None
    temperature: float
    top_p: float
    going: Callable[[np.ndarray], np.ndarray] | None

    def in_batches(self, decoder: CachedDecoder, tokens: np.ndarray, chance: np.ndarray, batch: int) -> None:
        """All samples of one prompt: the first tokens at once, then only the rows that go on."""
        tokens[:, 0] = self.choose(decoder.first_logits, chance[:, 0])
        alive = np.flatnonzero(self.goes_on(tokens[:, :1]))
        for first in range(0, len(alive) if tokens.shape[1] > 1 else 0, batch):
            own = alive[first : first + batch]
            self.go_on(decoder, tokens, own, chance)

    def finish(self, decoder: CachedDecoder, logits: Tensor, tokens: np.ndarray, chance: np.ndarray) -> None:
        """One sample of each of several prompts."""
        tokens[:, 0] = self.choose(logits, chance[:, 0])
        alive = np.flatnonzero(self.goes_on(tokens[:, :1]))
        if tokens.shape[1] > 1 and len(alive):
            if len(alive) < len(tokens):
                decoder.keep(torch.from_numpy(alive).to(decoder.device))
            self.go_on(decoder, tokens, alive, chance)

    def go_on(self, decoder: CachedDecoder, tokens: np.ndarray, rows: np.ndarray, chance: np.ndarray) -> None:
        """Second and later tokens of `rows`."""
        decoder.start(len(rows))
        for at in range(1, tokens.shape[1]):
            last = torch.from_numpy(tokens[rows, at - 1]).to(decoder.device)
            tokens[rows, at] = self.choose(decoder.step(last), chance[rows, at])
            alive = self.goes_on(tokens[rows, : at + 1])
            if not alive.any():
                return
            if not alive.all():
                decoder.keep(torch.from_numpy(np.flatnonzero(alive)).to(decoder.device))
                rows = rows[alive]

    def goes_on(self, tokens: np.ndarray) -> np.ndarray:
        alive = np.ones(len(tokens), bool) if self.stop is None else tokens[:, -1] != self.stop
        if self.going is not None and alive.any():
            alive[alive] = np.asarray(self.going(tokens[alive]), bool)
        return alive

    def choose(self, logits: Tensor, chance: np.ndarray) -> np.ndarray:
        return choose_tokens(logits, chance, self.temperature, self.top_p)


def _check(model, prompts, max_new_tokens, temperature, top_p, seed, samples, batch) -> None:
    for name, value in (("max_new_tokens", max_new_tokens), ("samples", samples), ("batch", batch)):
        check_range(name, value, 1, integer=True)
    check_range("temperature", temperature, 0)
    check_range("top_p", top_p, 0, 1, open_low=True)
    check_range("seed", seed, 0, integer=True)
    if not len(prompts):
        raise InputError("prompts: must hold at least one")
    for i, prompt in enumerate(prompts):
        length = len(prompt)
        if not 1 <= length or length + max_new_tokens - 1 > model.config.context:
            raise InputError(
                f"prompts: item {i} has {length} tokens, must be 1 to {model.config.context - max_new_tokens + 1} "
                f"(context {model.config.context}, max_new_tokens {max_new_tokens})"
            )
