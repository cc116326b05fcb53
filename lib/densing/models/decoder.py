"""The book's decoder: pre-norm RMSNorm, rotary positions, SwiGLU, tied embeddings (the shape of Llama)."""

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from densing.checks import check_range
from densing.errors import InputError
from densing.models.kernels import (
    rms_normalize,
    rotary_attention,
    swiglu,
    tied_cross_entropy,
    tied_token_losses,
)

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM

ROTARY_BASE = 10_000.0
NORM_EPS = 1e-5
INIT_STD = 0.02


@dataclass(frozen=True)
class DecoderConfig:
    """Shape of a `Decoder`.

    Parameters
    ----------
    vocab_size : entries of the (tied) embedding, at least 2.
    width : embedding width d; a multiple of ``2 * heads`` (rotary positions turn pairs).
    layers, heads : blocks, and attention heads of a block.
    context : longest sequence, in tokens.
    ff_width : hidden width of the feed-forward block; 8d/3 rounded up to a multiple of 8 when None.
    embedding_std : standard deviation of the initial embedding.

    Raises
    ------
    InputError : a value outside its range, or a width that the heads do not divide.
    """

    vocab_size: int
    width: int
    layers: int
    heads: int
    context: int = 256
    ff_width: int | None = None
    embedding_std: float = INIT_STD

    def __post_init__(self) -> None:
        """Check the shape and fill in the feed-forward width."""
        check_range("vocab_size", self.vocab_size, 2, integer=True)
        for name in ("width", "layers", "heads", "context"):
            check_range(name, getattr(self, name), 1, integer=True)
        if self.width % (2 * self.heads):
            raise InputError(f"width = {self.width}: must be a multiple of 2 * heads = {2 * self.heads}")
        if self.ff_width is None:
            object.__setattr__(self, "ff_width", 8 * math.ceil(self.width / 3))
        check_range("ff_width", self.ff_width, 1, integer=True)
        check_range("embedding_std", self.embedding_std, 0, open_low=True)

    @property
    def n_parameters(self) -> int:
        """Parameters of blocks and final norm: N without embeddings, the size used in every law."""
        block = 4 * self.width**2 + 3 * self.width * self.ff_width + 2 * self.width
        return self.layers * block + self.width

    @property
    def n_embedding(self) -> int:
        """Parameters of the tied embedding, counted once."""
        return self.vocab_size * self.width

    def to_dict(self) -> dict[str, int | float]:
        """The shape as plain numbers."""
        return asdict(self)


class RotaryTable(nn.Module):
    """Cosines and sines of the rotary positions, (context, head size / 2), half-split convention of Llama."""

    def __init__(self, context: int, head_size: int) -> None:
        super().__init__()
        frequency = ROTARY_BASE ** (-torch.arange(0, head_size, 2, dtype=torch.float32) / head_size)
        angle = torch.outer(torch.arange(context, dtype=torch.float32), frequency)
        self.register_buffer("cosine", angle.cos(), persistent=False)
        self.register_buffer("sine", angle.sin(), persistent=False)

    def forward(self, x: Tensor, start: int = 0) -> Tensor:
        """Turn `x` (..., length, head size) by its positions, `start` to start + length - 1."""
        positions = slice(start, start + x.shape[-2])
        cosine, sine = self.cosine[positions], self.sine[positions]
        first, second = x.chunk(2, dim=-1)
        return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)


class RMSNorm(nn.Module):
    """Root-mean-square normalisation with a gain (Zhang and Sennrich, 2019)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to the same shape."""
        return rms_normalize(x, self.weight, NORM_EPS)


class Block(nn.Module):
    """One pre-norm layer: causal self-attention, then SwiGLU, each added to the stream."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        d, self.heads = config.width, config.heads
        self.attention_norm = RMSNorm(d)
        self.qkv = nn.Linear(d, 3 * d, bias=False)
        self.attention_out = nn.Linear(d, d, bias=False)
        self.feed_norm = RMSNorm(d)
        self.gate_up = nn.Linear(d, 2 * config.ff_width, bias=False)
        self.down = nn.Linear(config.ff_width, d, bias=False)

    def forward(self, x: Tensor, rotary: RotaryTable) -> Tensor:
        """(batch, length, d) to the same shape."""
        batch, length, d = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, length, 3, self.heads, d // self.heads)
        x = x + self.attention_out(rotary_attention(qkv, rotary.cosine[:length], rotary.sine[:length]))
        return x + self.down(swiglu(self.gate_up(self.feed_norm(x))))


class Decoder(nn.Module):
    """A causal language model in fp32.

    Weights start from normal(0, 0.02), the embedding from its own spread; the two projections of a block that
    write to the stream are divided by sqrt(2 * layers). Same `seed`, same weights.

    Parameters
    ----------
    config : the shape.
    seed : of the initial weights.
    """

    def __init__(self, config: DecoderConfig, *, seed: int = 0) -> None:
        check_range("seed", seed, 0, integer=True)
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.width)
        self.rotary = RotaryTable(config.context, config.width // config.heads)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width)
        self._initialize(torch.Generator().manual_seed(seed))

    def _initialize(self, generator: torch.Generator) -> None:
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if parameter.ndim < 2:
                    parameter.fill_(1.0)
                    continue
                residual = name.endswith(("attention_out.weight", "down.weight"))
                std = INIT_STD / math.sqrt(2 * self.config.layers) if residual else INIT_STD
                std = self.config.embedding_std if name == "embedding.weight" else std
                parameter.normal_(0.0, std, generator=generator)

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits (batch, length, vocab_size) of the token after each position of `tokens` (batch, length).

        Raises
        ------
        InputError : a sequence longer than the context.
        """
        return F.linear(self.hidden_states(tokens), self.embedding.weight)

    def hidden_states(self, tokens: Tensor) -> Tensor:
        """States after the last norm, (batch, length, width); their products with the embedding are the logits."""
        if tokens.shape[-1] > self.config.context:
            raise InputError(
                f"tokens: length {tokens.shape[-1]}, must be at most the context {self.config.context}"
            )
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x, self.rotary)
        return self.norm(x)

    def token_losses(self, windows: Tensor) -> Tensor:
        """Negative log-likelihoods in nats, (batch, length), of windows (batch, length + 1), first token given."""
        hidden = self.hidden_states(windows[:, :-1])
        targets = windows[:, 1:]
        return tied_token_losses(hidden.flatten(0, 1), self.embedding.weight, targets.flatten()).view(
            targets.shape
        )

    def loss(self, windows: Tensor) -> Tensor:
        """Mean negative log-likelihood in nats of windows (batch, length + 1), first token given."""
        hidden = self.hidden_states(windows[:, :-1])
        return tied_cross_entropy(hidden.flatten(0, 1), self.embedding.weight, windows[:, 1:].flatten())

    def to_llama(self) -> "LlamaForCausalLM":
        """The same function as a `transformers.LlamaForCausalLM` (weights are copied)."""
        from transformers import LlamaConfig, LlamaForCausalLM

        config = self.config
        llama = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=config.vocab_size,
                hidden_size=config.width,
                intermediate_size=config.ff_width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                num_key_value_heads=config.heads,
                max_position_embeddings=config.context,
                rms_norm_eps=NORM_EPS,
                rope_parameters={"rope_type": "default", "rope_theta": ROTARY_BASE},
                tie_word_embeddings=True,
                attention_bias=False,
                mlp_bias=False,
                bos_token_id=None,
                eos_token_id=None,
            )
        )
        state = {"model.embed_tokens.weight": self.embedding.weight, "model.norm.weight": self.norm.weight}
        for i, block in enumerate(self.blocks):
            prefix = f"model.layers.{i}."
            q, k, v = block.qkv.weight.chunk(3)
            gate, up = block.gate_up.weight.chunk(2)
            state |= {
                prefix + "input_layernorm.weight": block.attention_norm.weight,
                prefix + "self_attn.q_proj.weight": q,
                prefix + "self_attn.k_proj.weight": k,
                prefix + "self_attn.v_proj.weight": v,
                prefix + "self_attn.o_proj.weight": block.attention_out.weight,
                prefix + "post_attention_layernorm.weight": block.feed_norm.weight,
                prefix + "mlp.gate_proj.weight": gate,
                prefix + "mlp.up_proj.weight": up,
                prefix + "mlp.down_proj.weight": block.down.weight,
            }
        state["lm_head.weight"] = self.embedding.weight
        llama.load_state_dict({name: weight.detach().clone() for name, weight in state.items()})
        return llama.eval()
