"""Training speed of the family's decoders against the same shapes in transformers, and against the machine."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from densing.checks import check_choice
from densing.fitters.bootstrap import Estimate
from densing.lab.reference.recipe import BATCH_TOKENS, CONTEXT, SIZES
from densing.models.decoder import Decoder, DecoderConfig
from densing.systems.measure import Rates, compare, speed_ratio
from densing.systems.workers import RateWorkers
from densing.training.schedules import constant
from densing.training.trainer import Trainer

BENCHED_SIZES = ("d0.2M", "d0.9M")
#: Heads that the family was first planned with.
PLANNED_HEADS = {"d0.01M": 3, "d0.05M": 3, "d0.1M": 3, "d0.2M": 4, "d0.4M": 6, "d0.9M": 7, "d2M": 10}
#: Processes and threads of each, on two cores.
SETTINGS = {"1 x 1": (1, 1), "1 x 2": (1, 2), "2 x 1": (2, 1)}
_RATE = 1e-3


@dataclass(frozen=True)
class TrainingSpeed:
    """Speeds of one size.

    Attributes
    ----------
    size : of the family.
    tokens_per_second : (contender, setting) to the median rate of the whole machine.
    against_same_shape, against_planned : how many times as fast as transformers at the same heads, and at the
        planned number of heads; each side at its own best setting.
    share_of_limit : floating-point operations a second over what matrix products of the model's shape reach at the
        same setting.
    best : contender to its best setting.
    """

    size: str
    tokens_per_second: dict[str, dict[str, float]]
    against_same_shape: Estimate
    against_planned: Estimate
    share_of_limit: float
    best: dict[str, str]


def training_flops_per_token(config: DecoderConfig) -> float:
    """Operations of matrix products a trained token needs, forward and backward, only the visible half of the
    attention: 6 (N + V·d) + 6·layers·length·d, with the decoder's context as length."""
    dense = 6 * (config.n_parameters + config.n_embedding)
    return dense + 6 * config.layers * config.context * config.width


def measure_training_speed(size: str, *, rounds: int = 7, seconds: float = 2.0) -> TrainingSpeed:
    """Measure one size; nothing else should run on the machine.

    Contenders take AdamW steps on the same batches (1,024 tokens in windows of 256) from the same weights, with
    gradient clipping: the book's decoder and trainer, `transformers.LlamaForCausalLM` of the same shape and of the
    planned number of heads, and bare matrix products of the decoder's largest shapes.

    Parameters
    ----------
    size : one of `SIZES`.
    rounds, seconds : turns that count, and the length of one.
    """
    check_choice("size", size, SIZES)
    with RateWorkers(_contenders, size, processes=2) as workers:
        contenders: dict[str, Callable[[float], float]] = {}
        for name in workers.names:
            for setting, (processes, threads) in SETTINGS.items():
                contenders[f"{name} {setting}"] = _turn(workers, name, processes, threads)
        rates = compare(contenders, rounds=rounds, seconds=seconds)
    names = ("ours", "same shape", "planned heads", "matrix products")
    best = {name: _best(rates, name) for name in names}
    config = SIZES[size]
    reached = rates.median(f"ours {best['ours']}") * training_flops_per_token(config)
    return TrainingSpeed(
        size,
        {name: {setting: rates.median(f"{name} {setting}") for setting in SETTINGS} for name in names},
        *(
            speed_ratio(rates, f"ours {best['ours']}", f"{other} {best[other]}")
            for other in ("same shape", "planned heads")
        ),
        reached / rates.median(f"matrix products {best['ours']}"),
        best,
    )


def _turn(workers: RateWorkers, name: str, processes: int, threads: int) -> Callable[[float], float]:
    return lambda seconds: workers.rate(name, seconds, processes=processes, threads=threads)


def _best(rates: Rates, name: str) -> str:
    return max(SETTINGS, key=lambda setting: rates.median(f"{name} {setting}"))


def _contenders(size: str) -> dict[str, Callable[[], float]]:
    shape = SIZES[size]
    windows = torch.randint(
        0,
        shape.vocab_size,
        (64 * BATCH_TOKENS // CONTEXT, CONTEXT + 1),
        generator=torch.Generator().manual_seed(0),
    )
    ours = Trainer(
        Decoder(shape),
        windows.numpy(),
        schedule=constant(),
        peak_rate=_RATE,
        batch_sequences=BATCH_TOKENS // CONTEXT,
        allow_repeat=True,
    )

    def step() -> float:
        ours.run_to(ours.step_count + 1)
        return BATCH_TOKENS

    planned = DecoderConfig(
        shape.vocab_size, shape.width, shape.layers, PLANNED_HEADS[size], shape.context, shape.ff_width
    )
    return {
        "ours": step,
        "same shape": _llama_step(shape, windows),
        "planned heads": _llama_step(planned, windows),
        "matrix products": _matrix_products(shape),
    }


def _llama_step(shape: DecoderConfig, windows: torch.Tensor) -> Callable[[], float]:
    model: Any = Decoder(shape).to_llama().train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=_RATE, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    batches = windows.split(BATCH_TOKENS // CONTEXT)
    taken = 0

    def step() -> float:
        nonlocal taken
        batch = batches[taken % len(batches)]
        taken += 1
        logits = model(input_ids=batch[:, :-1], use_cache=False).logits
        F.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return BATCH_TOKENS

    return step


def _matrix_products(shape: DecoderConfig) -> Callable[[], float]:
    """Products of the feed-forward layer and of the logits, forward: floating-point operations a step."""
    width, wide = shape.width, 2 * shape.ff_width
    x, up = torch.randn(BATCH_TOKENS, width), torch.randn(width, wide)
    head = torch.randn(width, shape.vocab_size)
    out, logits = torch.empty(BATCH_TOKENS, wide), torch.empty(BATCH_TOKENS, shape.vocab_size)
    operations = 2.0 * BATCH_TOKENS * width * (wide + shape.vocab_size)

    def step() -> float:
        torch.mm(x, up, out=out)
        torch.mm(x, head, out=logits)
        return operations

    return step
