"""Making a variant: trained on another text, pruned, distilled or rounded; and what is measured on it."""

import time
from typing import TYPE_CHECKING, Any

from densing.compression.pruning import hold_masks, magnitude_masks
from densing.compression.rounding import round_weights
from densing.lab.reference.evaluation import split_losses
from densing.lab.reference.recipe import CONTEXT
from densing.lab.reference.store import load_reference
from densing.lab.reference.text import family_tokenizer
from densing.lab.reference.training import open_trainer
from densing.lab.runs import Row
from densing.lab.variants.shuffled_text import shuffle_sentences
from densing.training.branches import Trunk
from densing.training.objectives.distillation import Student
from densing.training.schedules import wsd
from densing.training.trainer import Trainer

if TYPE_CHECKING:
    from torch import nn

    from densing.models.decoder import Decoder

#: The recovery after pruning repeats the last part of the family's schedule (Renda et al., 2020): a constant rate, then
#: the decay that ends a branch of the reference budget, a tenth of 4 million tokens long.
_RECOVERY_WARMUP, _RECOVERY_DECAY, _FINAL = 0.05, 0.8, 0.1
_NUMBER_BITS = 16


def variant_rows(config: dict[str, Any]) -> list[Row]:
    """Make one variant and measure its losses (the task of `variant_spec`).

    Returns
    -------
    One row: n_kept (parameters without embeddings that are not zero), n_stored (numbers of 16 bits that its plain
    storage takes), new_tokens (seen by the variant itself), train_seconds, bits per byte on the three splits and nats
    per token on the reported one; as items the nats of every document of the reported split.
    """
    start = time.perf_counter()
    model, counts = make_variant(config)
    counts["train_seconds"] = time.perf_counter() - start
    losses, texts = split_losses(model.eval(), config["tokenizer"])
    return [{"row": 0, **counts, **losses, "items": texts}]


def make_variant(config: dict[str, Any]) -> tuple["Decoder", Row]:
    """The model of a variant, with n_kept, n_stored and new_tokens; see `variant_rows`."""
    if config["variant"] in ("shuffled", "distilled"):
        model, tokens = trained_variant(config)
        return model, _counts(model) | {"new_tokens": tokens}
    model = load_reference(config["size"], config["tokens"], config["seed"], config["tokenizer"])
    model = model.to(config.get("device", "cpu"))
    if "bits" in config:
        rounded = round_weights(model, config["bits"], block_matrices(model))
        bits = sum(found.stored_bits for found in rounded.values())
        others = _counts(model)["n_stored"] - sum(found.codes.numel() for found in rounded.values())
        return model, _counts(model) | {"n_stored": others + bits / _NUMBER_BITS, "new_tokens": 0}
    hold_masks(model, magnitude_masks(model, config["sparsity"], block_matrices(model)))
    tokens = _recover(model, config) if "recovery_tokens" in config else 0
    return model, _counts(model) | {"new_tokens": tokens}


def trained_variant(config: dict[str, Any]) -> tuple["Decoder", int]:
    """A variant trained from the start as a branch of the family is, and the tokens it saw."""
    trainer = open_trainer(config, config["tokens"])
    if config["variant"] == "shuffled":
        entries = family_tokenizer(config["tokenizer"])
        steps = round(config["tokens"] / config["batch_tokens"])
        windows = trainer.windows[: steps * trainer.batch_sequences]
        trainer.windows = shuffle_sentences(windows, entries, seed=config["seed"])
    else:
        teacher = load_reference(config["teacher"], config["tokens"], config["seed"], config["tokenizer"])
        settings = {"temperature": config["temperature"], "weight": config["distillation_weight"]}
        trainer = Trainer(
            Student(trainer.model, teacher.to(trainer.device), **settings),
            trainer.windows,
            schedule=trainer.schedule,
            peak_rate=trainer.peak_rate,
            batch_sequences=trainer.batch_sequences,
            device=trainer.device,
        )
    trunk = Trunk(trainer, warmup_tokens=config["warmup_tokens"], decay_share=config["decay_share"])
    branch = trunk.branch(config["tokens"])
    return getattr(branch.model, "model", branch.model), branch.tokens_seen


def block_matrices(model: "nn.Module") -> list[str]:
    """Names of the matrices that N counts: those of the blocks, not the embedding."""
    return [
        name
        for name, weight in model.named_parameters()
        if weight.ndim == 2 and not name.startswith("embedding")
    ]


def _recover(model: "Decoder", config: dict[str, Any]) -> int:
    """Train a pruned model on the windows that come after its parent's."""
    source = open_trainer(config, config["tokens"] + config["recovery_tokens"])
    first = round(config["tokens"] / config["batch_tokens"]) * source.batch_sequences
    count = config["recovery_tokens"] // CONTEXT
    total = config["recovery_tokens"]
    schedule = wsd(
        total, warmup_tokens=_RECOVERY_WARMUP * total, decay_tokens=_RECOVERY_DECAY * total, final=_FINAL
    )
    trainer = Trainer(
        model,
        source.windows[first : first + count],
        schedule=schedule,
        peak_rate=config["rate"],
        batch_sequences=source.batch_sequences,
        device=config.get("device", "cpu"),
    )
    trainer.run_to(total // config["batch_tokens"])
    return trainer.tokens_seen


def _counts(model: "nn.Module") -> Row:
    weights = [value for name, value in model.named_parameters() if not name.startswith("embedding")]
    return {
        "n_kept": int(sum(int((value != 0).sum()) for value in weights)),
        "n_stored": int(sum(value.numel() for value in weights)),
    }
