"""Causal language models of the transformers library, read from a folder into the interface of the book's decoder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from densing.checks import check_device
from densing.errors import InputError

LEAST_CONTEXT = 64
UNSTATED_CONTEXT = 2_048  # window of models that state no longest sequence
_CONTEXT_NAMES = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "n_ctx",
    "max_sequence_length",
)
_TOKENIZER_FILES = ("tokenizer.json", "*.model", "vocab.json", "vocab.txt", "*.tiktoken", "tekken.json")
_LOGITS = 1 << 28  # numbers held at a time: 1 GB
_SAME = 1e-4  # largest relative change of an earlier logit that rounding explains


@dataclass(frozen=True)
class HuggingFaceConfig:
    """What the book's evaluators and yardstick need to know of a `HuggingFaceDecoder`.

    Attributes
    ----------
    architecture : name of its class. vocab_size : entries of its output.
    context : longest sequence in tokens; 2,048 where the model states none.
    n_parameters : parameters outside embedding tables and output head, each counted once: the N of every law.
    n_embedding : parameters of those tables and of the head, shared ones counted once.
    """

    architecture: str
    vocab_size: int
    context: int
    n_parameters: int
    n_embedding: int


class HuggingFaceDecoder(nn.Module):
    """A causal language model of the transformers library that the book's evaluators read like a `Decoder`.

    Parameters
    ----------
    model : a causal language model of `transformers`.
    tokenizer : its tokenizer, kept beside it.

    Attributes
    ----------
    config : `HuggingFaceConfig`. model, tokenizer : as given.

    Raises
    ------
    InputError : a context below 64 tokens, a weight that is not finite (named), or a model whose outputs depend on
        later tokens.
    """

    def __init__(self, model: nn.Module, tokenizer: Any = None) -> None:
        super().__init__()
        name = type(model).__name__
        context = stated_context(model.config)
        n_parameters, n_embedding = _count(model)
        vocab_size = getattr(model.config.get_text_config(), "vocab_size", None) or len(tokenizer)
        self.config = HuggingFaceConfig(name, int(vocab_size), context, n_parameters, n_embedding)
        self.model = model.eval()
        self.tokenizer = tokenizer
        for weight, values in model.named_parameters():
            if not bool(torch.isfinite(values).all()):
                raise InputError(f"model = {name}: weight {weight} has nan or infinite values")
        self._check_causal()

    @classmethod
    def from_folder(cls, path: str | Path, *, device: str = "cpu") -> "HuggingFaceDecoder":
        """Load a model in float32 and its tokenizer from a folder; nothing is downloaded and no code of it is run.

        Parameters
        ----------
        path : folder with config.json, weights as safetensors, and a tokenizer.
        device : where the model goes.

        Raises
        ------
        InputError : no such folder; no configuration, tokenizer or safetensors weights in it; an architecture that
            needs code of its own; quantised weights or an adapter; weights that are damaged or incomplete; and what
            the class refuses.
        """
        path = Path(path)
        check_device(device)
        check_folder(path)
        import transformers

        local = {"local_files_only": True, "trust_remote_code": False}
        with quiet_transformers():
            config = _load(path, "configuration", transformers.AutoConfig.from_pretrained, path, **local)
            stated_context(config)
            tokenizer = _load(path, "tokenizer", transformers.AutoTokenizer.from_pretrained, path, **local)
            model, told = _load(
                path,
                "model",
                transformers.AutoModelForCausalLM.from_pretrained,
                path,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                **local,
            )
        lacking = sorted(told["missing_keys"]) + sorted(str(key) for key in told["mismatched_keys"])
        if lacking:
            raise InputError(
                f"model = {str(path)!r}: its weights lack {len(lacking)} tensors of {type(model).__name__}, "
                f"among them {lacking[0]}"
            )
        return cls(model.to(device), tokenizer)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (batch, length, vocab_size) of the token after each position of `tokens` (batch, length)."""
        return self.model(input_ids=tokens, use_cache=False).logits

    def token_losses(self, windows: Tensor) -> Tensor:
        """Negative log-likelihoods in nats, (batch, length), of windows (batch, length + 1), first token given."""
        inputs, targets = windows[:, :-1], windows[:, 1:]
        rows = max(1, _LOGITS // (inputs.shape[1] * self.config.vocab_size))
        pieces = [
            F.cross_entropy(self(some).flatten(0, 1).float(), own.flatten(), reduction="none").view(own.shape)
            for some, own in zip(inputs.split(rows), targets.split(rows), strict=True)
        ]
        return torch.cat(pieces)

    def loss(self, windows: Tensor) -> Tensor:
        """Mean negative log-likelihood in nats of windows (batch, length + 1), first token given."""
        return self.token_losses(windows).mean()

    def _check_causal(self) -> None:
        """Encoders load as causal models too, and would be shown the token that they predict."""
        tokens = torch.arange(16)[None] % self.config.vocab_size
        changed = tokens.clone()
        changed[0, -1] = (changed[0, -1] + 7) % self.config.vocab_size
        device = next(self.model.parameters()).device
        with torch.inference_mode():
            before, after = (self(one.to(device))[0, :-1].float() for one in (tokens, changed))
        if float((before - after).abs().max()) > _SAME * max(1.0, float(before.abs().max())):
            raise InputError(
                f"model = {self.config.architecture}: a later token changes what it says of earlier ones, "
                "so it is no causal language model"
            )


def stated_context(config: Any) -> int:
    """Longest sequence that a transformers configuration states, in tokens; 2,048 where it states none.

    Raises
    ------
    InputError : a context below 64 tokens.
    """
    config = config.get_text_config()
    stated = [getattr(config, name, None) for name in _CONTEXT_NAMES]
    context = next((value for value in stated if isinstance(value, int) and value > 0), UNSTATED_CONTEXT)
    if context < LEAST_CONTEXT:
        raise InputError(f"context = {context}: the model must read at least {LEAST_CONTEXT} tokens")
    return context


def check_folder(path: Path) -> None:
    """Refuse a folder that holds no model that can be read safely, by looking at names and headers alone.

    Raises
    ------
    InputError : as `HuggingFaceDecoder.from_folder` for what needs no loading.
    """
    from safetensors import SafetensorError, safe_open

    shown = f"model = {str(path)!r}"
    if not path.is_dir():
        raise InputError(
            f"{shown}: {'is a file' if path.exists() else 'no such folder'}; must be a folder of a model"
        )
    if (path / "adapter_config.json").is_file():
        raise InputError(f"{shown}: holds an adapter, not a model; merge it into its base model first")
    config = _read_json(path / "config.json", shown)
    if "quantization_config" in config:
        raise InputError(f"{shown}: its weights are quantised; give the model before quantisation")
    weights = _weight_files(path, shown)
    if not any(any(path.glob(pattern)) for pattern in _TOKENIZER_FILES):
        raise InputError(f"{shown}: no tokenizer in the folder (such as tokenizer.json)")
    for file in weights:
        try:
            with safe_open(file, framework="pt") as opened:
                opened.keys()
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"{shown}: {file.name} is not a readable safetensors file ({_line(error)})"
            ) from None


def _weight_files(path: Path, shown: str) -> list[Path]:
    single, index = path / "model.safetensors", path / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if not index.is_file():
        others = sorted(
            file.name for pattern in ("*.bin", "*.pt", "*.pth", "*.gguf") for file in path.glob(pattern)
        )
        found = (
            f" (found {', '.join(others[:3])}; other formats are not read, convert them)" if others else ""
        )
        raise InputError(f"{shown}: no model.safetensors in the folder{found}")
    shards = _read_json(index, shown).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise InputError(f"{shown}: {index.name} names no weights")
    files = sorted({path / Path(str(name)).name for name in shards.values()})
    for file in files:
        if not file.is_file():
            raise InputError(f"{shown}: {file.name} is missing")
    return files


def _read_json(path: Path, shown: str) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{shown}: no {path.name} in the folder") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{shown}: {path.name} cannot be read ({_line(error)})") from None
    if not isinstance(content, dict):
        raise InputError(f"{shown}: {path.name} must hold an object")
    return content


def _load(path: Path, what: str, loader: Any, *arguments: Any, **options: Any) -> Any:
    try:
        return loader(*arguments, **options)
    except Exception as error:  # a foreign folder can fail in any way; the reader needs one line
        raise InputError(f"model = {str(path)!r}: its {what} cannot be loaded ({_line(error)})") from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _count(model: nn.Module) -> tuple[int, int]:
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    head = model.get_output_embeddings()
    outside = {
        id(p) for module in (*tables, *([head] if head is not None else [])) for p in module.parameters()
    }
    counts = {id(p): p.numel() for p in model.parameters()}
    n_embedding = sum(count for key, count in counts.items() if key in outside)
    return sum(counts.values()) - n_embedding, n_embedding


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Without the library's progress bars and warnings inside the block."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
