"""The runs of the family: which sizes, seeds, budgets and tokenizers, in which order."""

from typing import Any

from densing.checks import check_choice, check_range
from densing.errors import InputError
from densing.lab.reference.recipe import (
    BATCH_TOKENS,
    BUDGETS,
    DECAY_SHARE,
    EMBEDDING_STD,
    LOWEST_WEIGHT,
    REFERENCE_TOKENS,
    SEEDS,
    SIBLING_TOKENIZER,
    SIZES,
    SKILLS_SHARE,
    TOKENIZER,
    WARMUP_TOKENS,
    family_shape,
    peak_rate,
    skills_digest,
)
from densing.lab.reference.text import QUICK_TOKENIZER, text_digest
from densing.lab.runs import RunSpec

SWEEP = "reference"
TASK = "densing.lab.reference.evaluation:reference_rows"
SMALL, LARGE = tuple(SIZES)[:5], tuple(SIZES)[5:]
SIBLING_SIZES = ("d0.05M", "d0.2M", "d0.9M", "d2M")
QUICK_BUDGETS = (100_000, 200_000)
SCALES = ("quick", "core", "full", "siblings")


def reference_spec(
    size: str,
    seed: int = 0,
    *,
    budgets: tuple[int, ...] = (REFERENCE_TOKENS,),
    tokenizer: str = TOKENIZER,
    rate: float | None = None,
    heads: int | None = None,
    embedding_std: float = EMBEDDING_STD,
    batch_tokens: int = BATCH_TOKENS,
    skills_share: float = SKILLS_SHARE,
    lowest_weight: float = LOWEST_WEIGHT,
    decay_share: float = DECAY_SHARE,
    items: int = 500,
    choice_items: int = 2_000,
    sweep: str = SWEEP,
    device: str = "cpu",
) -> RunSpec:
    """One trunk of the family with a decayed branch at each of `budgets`.

    Parameters
    ----------
    size : one of `SIZES`.
    seed : of weights and order of the text, >= 0.
    budgets : tokens, multiples of 1,000, increasing.
    tokenizer : ``bpe-V``.
    rate, heads, embedding_std : another peak rate, number of heads or spread of the initial embedding than the
        recipe's.
    batch_tokens : tokens a step, a multiple of the context.
    skills_share : of skills in the tokens, [0, 0.9].
    lowest_weight : factor on the weight of every skill's lowest grade.
    decay_share : of each budget, (0, 0.5].
    items, choice_items : evaluated items a family of generation and of choice, 20 to 5,000; branches below the
        reference budget answer `items` of both.
    sweep : table that the rows go to.
    device : where to train.

    Raises
    ------
    InputError : a value outside its range, named.
    """
    check_choice("size", size, SIZES)
    check_range("seed", seed, 0, integer=True)
    check_range("skills_share", skills_share, 0, 0.9)
    check_range("decay_share", decay_share, 0, 0.5, open_low=True)
    for name, value in (("items", items), ("choice_items", choice_items)):
        check_range(name, value, 20, 5_000, integer=True)
    if not budgets or any(a >= b for a, b in zip(budgets, budgets[1:], strict=False)):
        raise InputError(f"budgets = {budgets}: must increase, and hold at least one")
    shape = family_shape(size, int(tokenizer.split("-")[1]))
    heads = heads or shape.heads
    config: dict[str, Any] = {
        "size": size,
        "width": shape.width,
        "layers": shape.layers,
        "heads": heads,
        "ff_width": shape.ff_width,
        "embedding_std": embedding_std,
        "n_parameters": shape.n_parameters,
        "n_total": shape.n_parameters + shape.n_embedding,
        "vocab_size": shape.vocab_size,
        "tokenizer": tokenizer,
        "seed": seed,
        "rate": rate or peak_rate(shape.n_parameters),
        "batch_tokens": batch_tokens,
        "warmup_tokens": WARMUP_TOKENS,
        "decay_share": decay_share,
        "skills_share": skills_share,
        "lowest_weight": lowest_weight,
        "budgets": " ".join(str(int(budget)) for budget in budgets),
        "items": items,
        "choice_items": choice_items,
        "corpus": text_digest(tokenizer),
        "skills": skills_digest(),
        **({} if device == "cpu" else {"device": device}),
    }
    # seconds go with the operations of a token, attention and embedding included
    per_token = 6 * (shape.n_parameters + shape.n_embedding) + 12 * shape.layers * shape.width * shape.context
    return RunSpec(sweep, TASK, config, work=per_token * (max(budgets) + decay_share * sum(budgets)))


def reference_plan(scale: str = "full", *, device: str = "cpu") -> list[RunSpec]:
    """The runs of a scale, the most important first.

    Parameters
    ----------
    scale : "quick" (the smallest size on a small text), "core" (five small sizes, what a fresh chapter
        retrains), "full" (the recorded family: seven sizes, three seeds, five budgets; the largest budget of the
        two largest sizes for seed 0 only), or "siblings" (four sizes under 4,096 entries at the reference
        budget).
    device : where to train.
    """
    check_choice("scale", scale, SCALES)
    if scale == "quick":
        few = {"items": 100, "choice_items": 100, "tokenizer": QUICK_TOKENIZER}
        return [reference_spec("d0.01M", 0, budgets=QUICK_BUDGETS, device=device, **few)]
    if scale == "siblings":
        return [reference_spec(size, 0, tokenizer=SIBLING_TOKENIZER, device=device) for size in SIBLING_SIZES]
    early = BUDGETS[: BUDGETS.index(REFERENCE_TOKENS) + 1]
    if scale == "core":
        return [
            reference_spec(size, seed, budgets=early, device=device)
            for seed in SEEDS
            for size in (SMALL if seed == 0 else SMALL[:4])
        ]
    return [
        *(reference_spec(size, seed, budgets=early, device=device) for seed in SEEDS for size in SIZES),
        *(
            reference_spec(size, seed, budgets=BUDGETS[-1:], device=device)
            for seed in SEEDS
            for size in (SIZES if seed == 0 else SMALL)
        ),
    ]
