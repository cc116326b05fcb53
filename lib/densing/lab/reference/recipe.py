"""What the reference family is: sizes, text, rates and budgets, frozen before it was recorded."""

import hashlib
from functools import cache

import numpy as np

from densing.checks import check_choice, check_range
from densing.data.packing import pack_mixed
from densing.data.paths import repository_root
from densing.data.skills.mixture import skills_documents
from densing.data.tokenizers import encode_documents, write_whole
from densing.lab.reference.text import family_split, family_tokenizer, text_digest
from densing.models.decoder import DecoderConfig

TOKENIZER = "bpe-1024"
SIBLING_TOKENIZER = "bpe-4096"
CONTEXT = 256
BATCH_TOKENS = 1_024
SKILLS_SHARE = 0.4
LOWEST_WEIGHT = 2.0
EMBEDDING_STD = 0.05
WARMUP_TOKENS = 160_000  # 2 % of the largest budget
DECAY_SHARE = 0.1
BUDGETS = (500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000)
REFERENCE_TOKENS = 4_000_000
SEEDS = (0, 1, 2)

_SHAPES = {  # width, layers, heads
    "d0.01M": (24, 2, 2),
    "d0.05M": (48, 2, 2),
    "d0.1M": (48, 4, 2),
    "d0.2M": (64, 4, 2),
    "d0.4M": (96, 4, 2),
    "d0.9M": (112, 6, 2),
    "d2M": (160, 6, 2),
}


def family_shape(size: str, vocab_size: int = 1_024) -> DecoderConfig:
    """The decoder of a size of the family, under a vocabulary of `vocab_size` entries.

    Raises
    ------
    InputError : an unknown size (lists them).
    """
    check_choice("size", size, _SHAPES)
    width, layers, heads = _SHAPES[size]
    return DecoderConfig(vocab_size, width, layers, heads, context=CONTEXT, embedding_std=EMBEDDING_STD)


#: The seven sizes under the family's own tokenizer.
SIZES: dict[str, DecoderConfig] = {size: family_shape(size) for size in _SHAPES}


def peak_rate(n_parameters: float) -> float:
    """Peak learning rate of a size with `n_parameters` non-embedding parameters: c · N^-k, three digits."""
    check_range("n_parameters", n_parameters, 0, open_low=True)
    return float(f"{_RATE_AT_100K * (n_parameters / 1e5) ** -_RATE_EXPONENT:.3g}")


_RATE_AT_100K, _RATE_EXPONENT = 3.86e-3, 0.36


def training_windows(
    tokenizer: str,
    tokens: int,
    *,
    seed: int,
    skills_share: float = SKILLS_SHARE,
    lowest_weight: float = LOWEST_WEIGHT,
) -> np.ndarray:
    """The family's training text in its order: documentation, code and skills as windows of one context.

    A longer text begins with the shorter one of the same seed, and every size of a seed reads the same.

    Parameters
    ----------
    tokenizer : name of a tokenizer of the book.
    tokens : how many, a multiple of the batch.
    seed : of the order of documents and of the skills' instances.
    skills_share : of skills in the tokens, [0, 0.9].
    lowest_weight : factor on the weight of the lowest grade of every skill.

    Returns
    -------
    (tokens / 256, 257) uint16, cached on disk.
    """
    check_range("skills_share", skills_share, 0, 0.9)
    count = -(-tokens // CONTEXT)
    about = f"{tokenizer}-{text_digest(tokenizer)}-{skills_digest()}-{skills_share:g}-{lowest_weight:g}-{seed}-{count}"
    key = hashlib.sha256(about.encode()).hexdigest()[:16]
    path = repository_root() / "_build" / "cache" / "windows" / f"{key}.npy"
    if not path.is_file():
        windows = _mixed_windows(tokenizer, count, seed, skills_share, lowest_weight)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, npy_bytes(windows))
    return np.load(path, mmap_mode="r")


@cache
def skills_digest() -> str:
    """Identity of the generators of skills: a hash of the beginning of one stream, 12 digits."""
    text = "\n".join(skills_documents(n_documents=2_000, seed=0))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _mixed_windows(
    tokenizer: str, count: int, seed: int, skills_share: float, lowest_weight: float
) -> np.ndarray:
    text = family_split(tokenizer, "train")[:2]
    if not skills_share:
        return pack_mixed(text, (text[0][:0], text[1][:1]), 0, CONTEXT, limit=count, seed=seed)
    # at most three bytes a token: the stream is cut where the windows are full
    n_bytes = int(3 * skills_share * count * CONTEXT) + 10_000
    skills = skills_documents(
        n_bytes=n_bytes, seed=seed, skills_share=skills_share, lowest_weight=lowest_weight
    )
    encoded = encode_documents(family_tokenizer(tokenizer), skills)
    return pack_mixed(text, encoded, skills_share, CONTEXT, limit=count, seed=seed)


def npy_bytes(array: np.ndarray) -> bytes:
    """The array as the content of an npy file."""
    import io

    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
