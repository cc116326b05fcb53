"""Byte-level BPE tokenizers of the book, and the token frequencies that losses are normalised with."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from densing.checks import check_flag, check_range
from densing.data.corpora import corpus_digest, documents, split_digest
from densing.data.paths import repository_root
from densing.errors import InputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

DOCUMENT, PADDING, ANSWER, END = "<doc>", "<pad>", "<ans>", "<end>"
SPECIALS = (DOCUMENT, PADDING, ANSWER, END)
RESERVED = 32
# Pre-tokens: one newline, a run of letters or of other signs (each with the blank before it), a run of
# blanks. None crosses a newline. Digits stand alone, or in runs where they may be merged.
_PATTERN = r"\n| ?\p{L}+| ?[^\s\p{L}\p{N}]+|[^\S\n]+(?!\S)|[^\S\n]+"
_DIGITS = {False: r"\p{N}|", True: r" ?\p{N}+|"}


def train_bpe(
    texts: Iterable[str],
    vocab_size: int,
    *,
    byte_level: bool = True,
    merge_digits: bool = False,
    reserved: int = RESERVED,
    seed: int = 0,
) -> "Tokenizer":
    """Train a byte-level BPE tokenizer with exactly `vocab_size` entries.

    Ids: the four specials ``<doc> <pad> <ans> <end>``, `reserved` ids ``<r0> ...`` for later use, 256 bytes,
    merges in the order learnt. Any text is encoded and decoded without loss.

    Parameters
    ----------
    texts : training texts.
    vocab_size : entries in all, at least 260 + `reserved`.
    byte_level : must be True; character-level vocabularies are not lossless.
    merge_digits : let merges join digits (they are single tokens otherwise).
    reserved : ids kept free, [0, 256].
    seed : accepted for symmetry; BPE training has no random step and every seed gives the same tokenizer.

    Raises
    ------
    InputError : a vocabulary below the bytes and specials, or above what the texts support (states the size
        reached).

    References
    ----------
    Sennrich, Haddow and Birch (2016), Neural machine translation of rare words with subword units.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    check_range("reserved", reserved, 0, 256, integer=True)
    check_range("seed", seed, 0, integer=True)
    check_flag("merge_digits", merge_digits)
    if byte_level is not True:
        raise InputError(
            f"byte_level = {byte_level!r}: must be True (a vocabulary of characters is not lossless)"
        )
    specials = [*SPECIALS, *(f"<r{i}>" for i in range(reserved))]
    check_range("vocab_size", vocab_size, 256 + len(specials), integer=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_DIGITS[merge_digits] + _PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    reached = tokenizer.get_vocab_size()
    if reached != vocab_size:
        raise InputError(f"vocab_size = {vocab_size}: these texts support at most {reached} entries")
    return tokenizer


def load_tokenizer(name: str) -> "Tokenizer":
    """The tokenizer `name` of the book, trained on the corpus's train split and cached.

    Parameters
    ----------
    name : ``bpe-V`` with the family's 32 reserved ids, ``bpe-V-plain`` without them, ``bpe-V-merged-digits``.

    Raises
    ------
    InputError : a name that is none of these.
    """
    from tokenizers import Tokenizer

    kind, _, rest = name.partition("-")
    size, _, option = rest.partition("-")
    if kind != "bpe" or not size.isdigit() or option not in ("", "plain", "merged-digits"):
        raise InputError(
            f"name = {name!r}: must be 'bpe-V', 'bpe-V-plain' or 'bpe-V-merged-digits', V the number of entries"
        )
    path = cache_folder() / f"{name}-{corpus_digest()[:12]}.json"
    if not path.is_file():
        trained = train_bpe(
            (document.text for document in documents("train")),
            int(size),
            merge_digits=option == "merged-digits",
            reserved=0 if option == "plain" else RESERVED,
        )
        write_whole(path, trained.to_str().encode())
    return Tokenizer.from_file(str(path))


def tokenizer_digest(tokenizer: "Tokenizer") -> str:
    """SHA-256 of the vocabulary and merges: the identity of a tokenizer."""
    model = json.loads(tokenizer.to_str())["model"]
    return hashlib.sha256(json.dumps([model["vocab"], model["merges"]], sort_keys=True).encode()).hexdigest()


def encode_documents(tokenizer: "Tokenizer", texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Encode `texts`, each preceded by ``<doc>``.

    Returns
    -------
    ids : (n_tokens,) uint16 or uint32, all documents one after the other.
    offsets : (n_texts + 1,) int64, document i is ``ids[offsets[i]:offsets[i + 1]]``.
    """
    marker = tokenizer.token_to_id(DOCUMENT)
    if marker is None:
        raise InputError(f"tokenizer: must have the special token {DOCUMENT}")
    dtype = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32
    pieces = []
    for start in range(0, len(texts), 2_000):
        batch = tokenizer.encode_batch_fast(list(texts[start : start + 2_000]), add_special_tokens=False)
        pieces.extend(np.array([marker, *encoding.ids], dtype=dtype) for encoding in batch)
    offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64)
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype), offsets


@cache
def encoded_split(name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """The split of the corpus under the tokenizer `name`, as `encode_documents`; cached on disk and read by mapping."""
    stem = cache_folder() / f"{name}-{split_digest(split)[:12]}-{split}"
    ids_path, offsets_path = Path(f"{stem}-ids.npy"), Path(f"{stem}-offsets.npy")
    if not (ids_path.is_file() and offsets_path.is_file()):
        ids, offsets = encode_documents(
            load_tokenizer(name), [document.text for document in documents(split)]
        )
        for path, array in ((offsets_path, offsets), (ids_path, ids)):
            write_whole(path, _npy(array))
    return np.load(ids_path, mmap_mode="r"), np.load(offsets_path)


def compression_curve(
    texts: Sequence[str], vocab_sizes: Sequence[int], *, held_out: int = 5
) -> dict[int, float]:
    """Tokens per character of `texts` under BPE vocabularies of several sizes.

    Every `held_out`-th text is kept out of the training of the tokenizers and measured; the vocabularies
    have no reserved ids.

    Parameters
    ----------
    texts : at least `held_out` texts.
    vocab_sizes : entries, each at least 260.
    held_out : 2 to 100.

    Returns
    -------
    vocabulary size to tokens per character of the held-out texts; sizes that the texts do not support are
    left out.

    Raises
    ------
    InputError : too few texts, or a smallest vocabulary that they do not support (states the size reached).
    """
    check_range("held_out", held_out, 2, 100, integer=True)
    texts = list(texts)
    if len(texts) < held_out:
        raise InputError(f"texts: {len(texts)} texts, must be at least {held_out}")
    held = texts[::held_out]
    training = [text for i, text in enumerate(texts) if i % held_out]
    characters = sum(map(len, held))
    curve = {}
    for vocab_size in sorted(vocab_sizes):
        try:
            tokenizer = train_bpe(training, vocab_size, reserved=0)
        except InputError:
            if not curve:
                raise
            break
        encoded = tokenizer.encode_batch_fast(held, add_special_tokens=False)
        curve[vocab_size] = sum(len(encoding.ids) for encoding in encoded) / characters
    return curve


@dataclass(frozen=True)
class TokenCounts:
    """How often each token occurs, (vocab_size,)."""

    counts: np.ndarray

    @classmethod
    def from_ids(cls, ids: np.ndarray, vocab_size: int) -> "TokenCounts":
        """Count the tokens of `ids`.

        Raises
        ------
        InputError : a token that the vocabulary does not have.
        """
        check_range("vocab_size", vocab_size, 1, integer=True)
        counts = np.bincount(np.asarray(ids).ravel(), minlength=vocab_size)
        if len(counts) > vocab_size:
            raise InputError(f"ids: token {len(counts) - 1}, must be below vocab_size = {vocab_size}")
        return cls(counts)

    def unigram_logprob(self) -> np.ndarray:
        """ln p(w | V), (vocab_size,): relative frequencies, tokens that never occur counted once."""
        counts = np.maximum(self.counts, 1).astype(float)
        return np.log(counts) - np.log(counts.sum())


def cache_folder() -> Path:
    """Where tokenizers and encoded text are cached."""
    folder = repository_root() / "_build" / "cache" / "tokenizers"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_whole(path: Path, content: bytes) -> None:
    """Write a file all or nothing: several processes may write the same one."""
    import os

    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    os.replace(part, path)


def _npy(array: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()
