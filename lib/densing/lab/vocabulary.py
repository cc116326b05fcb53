"""The vocabulary sweep: decoders of four sizes under vocabularies of many sizes at equal FLOPs (chapter vocabulary)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from densing.checks import check_choice, check_range
from densing.data.corpora import corpus_digest, corpus_manifest, distribution_documents, documents
from densing.data.packing import pack
from densing.data.tokenizers import (
    DOCUMENT,
    TokenCounts,
    encode_documents,
    encoded_split,
    load_tokenizer,
    train_bpe,
)
from densing.evaluation.likelihood import bits_per_character, document_losses, unigram_normalized_loss
from densing.lab.runs import Row, RunSpec
from densing.models.decoder import Decoder, DecoderConfig
from densing.training.branches import Trunk, train_branches
from densing.training.trainer import Trainer

SWEEP = "vocabulary"
TASK = "densing.lab.vocabulary:train_vocabulary_run"


@dataclass(frozen=True)
class LadderSize:
    """A size of the ladder: its shape and its FLOP budget."""

    width: int
    layers: int
    heads: int
    budget: float


# Budgets a factor of 2 apart: 0.6 to 0.8 million tokens each at 512 entries.
LADDER: dict[str, LadderSize] = {
    "14k": LadderSize(24, 2, 1, 1.0e11),
    "25k": LadderSize(32, 2, 1, 2.0e11),
    "60k": LadderSize(48, 2, 2, 4.0e11),
    "150k": LadderSize(64, 3, 2, 8.0e11),
}
VOCABULARY_SIZES = (288, 512, 768, 1_024, 2_048, 4_096)
CONTEXT_CHARACTERS = 512
CONTEXT_TOKENS = 256
BATCH_TOKENS = 512  # the reference family's 1,024 leave the largest vocabularies too few steps
EVALUATION_BYTES = 100_000
WARMUP_SHARE, DECAY_SHARE = 0.2, 0.2  # of a run's smallest budget; of each budget
QUICK_TEXT = ("lifelines",), "nbformat"


def peak_rate(n_nv: float, vocab_size: int) -> float:
    """Peak rate of the sweep: 4e-3 for 25,000 parameters and 512 entries, falling slowly with both.

    Frozen from tuning runs (seed 100, development split; rates 1e-3 to 8e-3 at 25k and 150k parameters, 512
    to 8,192 entries, see `tuning_plan`): with a long warm-up the loss is flat within a factor 2 of this rate.
    """
    return float(f"{4e-3 * (n_nv / 25e3) ** -0.15 * (vocab_size / 512) ** -0.15:.3g}")


def vocabulary_spec(
    size: str,
    vocab_size: int,
    *,
    seed: int = 0,
    budgets: tuple[float, ...] | None = None,
    rate: float | None = None,
    context: str = "characters",
    split: str = "val_b",
    quick: bool = False,
    device: str = "cpu",
) -> RunSpec:
    """One run of the sweep: a trunk of `size` and `vocab_size` with a decayed branch at every budget.

    Parameters
    ----------
    size : one of `LADDER`.
    vocab_size : entries, >= 260.
    seed : of weights and document order.
    budgets : FLOPs, increasing; by default the ladder's budget one below the size's own, and its own.
    rate : peak rate; `peak_rate` by default.
    context : "characters" (512 characters on average) or "tokens" (256).
    split : evaluated split of the corpus.
    quick : small text of two packages (one to train on), read at once, instead of the corpus.
    device : where to train.
    """
    check_choice("size", size, LADDER)
    check_choice("context", context, ("characters", "tokens"))
    check_range("vocab_size", vocab_size, 260, integer=True)
    step = LADDER[size]
    config = DecoderConfig(vocab_size, step.width, step.layers, step.heads)
    budgets = budgets_of(size) if budgets is None else budgets
    return RunSpec(
        sweep=SWEEP,
        task=TASK,
        config={
            "size": size,
            "width": step.width,
            "layers": step.layers,
            "heads": step.heads,
            "n_nv": config.n_parameters,
            "vocab_size": vocab_size,
            "budgets": " ".join(f"{budget:g}" for budget in budgets),
            "rate": rate or peak_rate(config.n_parameters, vocab_size),
            "context": context,
            "seed": seed,
            "split": split,
            "corpus": "quick" if quick else corpus_digest()[:12],
            "batch_tokens": BATCH_TOKENS,
            "warmup_share": WARMUP_SHARE,
            "decay_share": DECAY_SHARE,
            **({} if device == "cpu" else {"device": device}),
        },
        work=max(budgets),
    )


def vocabulary_plan(scale: str = "book", *, seed: int = 0, device: str = "cpu") -> list[RunSpec]:
    """The runs of a scale.

    Parameters
    ----------
    scale : "quick" (three vocabularies at the smallest size, small budgets, a small text), "book" (four
        sizes, six vocabularies, three seeds) or "full" (the same with five seeds and budgets ten times as
        large).
    seed : first seed.
    device : where to train; on another device than the CPU the digests are others.
    """
    check_choice("scale", scale, ("quick", "book", "full"))
    if scale == "quick":
        budgets = (6e9,)
        return [
            vocabulary_spec("14k", v, seed=seed, budgets=budgets, quick=True, device=device)
            for v in (288, 512, 1_024)
        ]
    return [
        vocabulary_spec(size, v, seed=seed + s, budgets=_scaled(budgets_of(size), scale), device=device)
        for s in range(3 if scale == "book" else 5)
        for size in LADDER
        for v in VOCABULARY_SIZES
    ]


def control_plan(scale: str = "book", *, seed: int = 0, device: str = "cpu") -> list[RunSpec]:
    """The second size again with a context constant in tokens (256) instead of characters, one seed."""
    budgets = _scaled((LADDER["25k"].budget,), scale)
    return [
        vocabulary_spec("25k", v, seed=seed, budgets=budgets, context="tokens", device=device)
        for v in VOCABULARY_SIZES
    ]


def predicted_plan(
    vocab_size: int, scale: str = "book", *, seed: int = 0, device: str = "cpu"
) -> list[RunSpec]:
    """The largest size at another vocabulary (the predicted one), the same seeds."""
    top = list(LADDER)[-1]
    budgets = _scaled(budgets_of(top), scale)
    seeds = range(seed, seed + (3 if scale == "book" else 5))
    return [vocabulary_spec(top, vocab_size, seed=s, budgets=budgets, device=device) for s in seeds]


def _scaled(budgets: tuple[float, ...], scale: str) -> tuple[float, ...]:
    check_choice("scale", scale, ("book", "full"))
    return budgets if scale == "book" else tuple(10 * budget for budget in budgets)


def budgets_of(size: str) -> tuple[float, ...]:
    """FLOP budgets of a size: the one below its own, where there is one, and its own."""
    names = list(LADDER)
    return tuple(LADDER[name].budget for name in names[max(names.index(size) - 1, 0) : names.index(size) + 1])


def tuning_plan(
    rates: dict[str, tuple[float, ...]], vocab_sizes: tuple[int, ...] = (512, 8_192)
) -> list[RunSpec]:
    """Runs that choose the peak rates: each size's own budget, seed 100, judged on the development split."""
    return [
        vocabulary_spec(size, v, seed=100, budgets=(LADDER[size].budget,), rate=rate, split="val_a")
        for size, candidates in rates.items()
        for v in vocab_sizes
        for rate in candidates
    ]


@dataclass(frozen=True)
class _Text:
    """Encoded training and evaluation text of a run."""

    train: tuple[np.ndarray, np.ndarray]
    evaluation: tuple[np.ndarray, np.ndarray]
    characters: np.ndarray
    n_bytes: int
    tokens_per_character: float
    marker: int


def train_vocabulary_run(config: dict[str, Any]) -> list[Row]:
    """Train one trunk with its branches and evaluate each (the task of `vocabulary_spec`).

    Returns
    -------
    One row a budget: FLOPs 6(N_nv + V·d)·D, tokens, characters, loss and unigram entropy in nats a token,
    L_u, bits per character and byte; and as items the nats and characters of every evaluated document.
    """
    text = _prepare(config)
    decoder = DecoderConfig(
        config["vocab_size"], config["width"], config["layers"], config["heads"], context=CONTEXT_CHARACTERS
    )
    length = (
        CONTEXT_TOKENS
        if config["context"] == "tokens"
        else round(CONTEXT_CHARACTERS * text.tokens_per_character)
    )
    batch = max(1, round(config["batch_tokens"] / length))
    flops_per_token = 6 * (decoder.n_parameters + decoder.n_embedding)
    budgets = [float(budget) for budget in config["budgets"].split()]
    windows = math.ceil(budgets[-1] / flops_per_token / length) + batch
    trainer = Trainer(
        Decoder(decoder, seed=config["seed"]),
        pack(*text.train, length, limit=windows, seed=config["seed"]),
        schedule=lambda tokens: 1.0,
        peak_rate=config["rate"],
        batch_sequences=batch,
        allow_repeat=config["corpus"] == "quick",
        device=config.get("device", "cpu"),
    )
    trunk = Trunk(
        trainer,
        warmup_tokens=config["warmup_share"] * budgets[0] / flops_per_token,
        decay_share=config["decay_share"],
    )
    unigram = TokenCounts.from_ids(text.train[0], config["vocab_size"]).unigram_logprob()
    rows = []
    for i, (_, branch) in enumerate(train_branches(trunk, [b / flops_per_token for b in budgets])):
        nll, ids, bounds = document_losses(
            branch.model, *text.evaluation, length=length, marker=text.marker, device=trainer.device
        )
        per_document = np.add.reduceat(nll, bounds[:-1])
        characters = int(text.characters.sum())
        rows.append(
            {
                "row": i,
                "budget": budgets[i],
                "flops": float(flops_per_token * branch.tokens_seen),
                "tokens": branch.tokens_seen,
                "characters": branch.tokens_seen / text.tokens_per_character,
                "steps": branch.step_count,
                "length": length,
                "tokens_per_character": text.tokens_per_character,
                "loss_nats": float(nll.mean()),
                "unigram_nats": float(-unigram[ids].mean()),
                "unigram_normalized_loss": unigram_normalized_loss(nll, ids, unigram),
                "bits_per_character": bits_per_character(nll.sum(), characters),
                "bits_per_byte": bits_per_character(nll.sum(), text.n_bytes),
                "items": [
                    {"document": k, "nats": float(x), "characters": int(c)}
                    for k, (x, c) in enumerate(zip(per_document, text.characters, strict=True))
                ],
            }
        )
    return rows


def _prepare(config: dict[str, Any]) -> _Text:
    vocab_size = config["vocab_size"]
    if config["corpus"] == "quick":
        names, held_out = QUICK_TEXT
        texts = [document.text for name in names for document in distribution_documents(name)]
        held = [document.text for document in distribution_documents(held_out)]
        tokenizer = train_bpe(texts, vocab_size, reserved=0)
        train, evaluation = encode_documents(tokenizer, texts), encode_documents(tokenizer, held)
        characters = sum(map(len, texts))
    else:
        name = f"bpe-{vocab_size}-plain"
        tokenizer = load_tokenizer(name)
        held = [document.text for document in documents(config["split"])]
        train, evaluation = encoded_split(name, "train"), encoded_split(name, config["split"])
        manifest = corpus_manifest()
        characters = int(manifest.loc[manifest["split"] == "train", "characters"].sum())
    sizes = np.cumsum([len(text.encode("utf-8")) for text in held])
    count = min(len(held), int(np.searchsorted(sizes, EVALUATION_BYTES)) + 1)
    ids, offsets = evaluation
    return _Text(
        train=train,
        evaluation=(np.asarray(ids[: offsets[count]]), offsets[: count + 1]),
        characters=np.array([len(text) for text in held[:count]]),
        n_bytes=int(sizes[count - 1]),
        tokens_per_character=(len(train[0]) - len(train[1]) + 1) / characters,
        marker=tokenizer.token_to_id(DOCUMENT),
    )
