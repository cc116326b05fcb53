"""A ladder on a reader's own text: the family's shapes, rates and branches; what may be asked, and what it holds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from densing.checks import check_choices, check_device, check_flag, check_range
from densing.data.tokenizers import encode_documents, tokenizer_digest, train_bpe, write_whole
from densing.errors import InputError
from densing.lab.own_family.corpus import OwnCorpus, read_corpus
from densing.lab.own_family.runs import (
    IDS,
    OFFSETS,
    TOKENIZER,
    VALIDATION,
    row_path,
    run_folder,
    train_missing,
    validation_texts,
)
from densing.lab.reference.recipe import (
    BATCH_TOKENS,
    DECAY_SHARE,
    SIZES,
    family_shape,
    npy_bytes,
    peak_rate,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WARMUP_SHARE = 0.02  # of the largest budget of the first plan, as the family's
LEAST_BATCHES = 10
_RECIPE, _ROWS = "recipe.json", "ladder.csv"


@dataclass(frozen=True, eq=False)
class Ladder:
    """A trained ladder.

    Attributes
    ----------
    folder : where it is. frame : one row a size, seed and budget; loss in bits per byte of the validation texts.
    tokenizer : its own. validation : documents kept apart.
    document_nats : nats of each validation document (documents,) by (size, tokens, seed).
    """

    folder: Path
    frame: pd.DataFrame
    tokenizer: "Tokenizer"
    validation: list[str]
    document_nats: dict[tuple[str, int, int], np.ndarray]

    def checkpoint(self, size: str, tokens: int, seed: int) -> Path:
        """File of a decayed branch."""
        return run_folder(self.folder, size, seed) / f"branch-{tokens}.safetensors"


def train_ladder(
    corpus: str | Path,
    folder: str | Path,
    *,
    sizes: Sequence[str],
    budgets: Sequence[float],
    seeds: int = 1,
    vocab_size: int = 1_024,
    allow_repeat: bool = False,
    processes: int = 1,
    device: str = "cpu",
    progress: bool = True,
) -> Ladder:
    """Train a ladder on a reader's own text, as the reference family was trained, without skills.

    The warm-up is 2 % of the largest budget of the first call, and stays that of the ladder.

    Every finished branch and its losses are written at once; a run that is stopped goes on where it was, and a second
    call may add sizes, budgets and seeds.

    Parameters
    ----------
    corpus : folder of .txt, .md, .py and .jsonl files, as `read_corpus`.
    folder : new, empty, or an earlier ladder on the same corpus; gets ladder.csv, law.json, tokenizer.json,
        validation.jsonl, recipe.json and the checkpoints under runs/.
    sizes : of `SIZES`. budgets : tokens, increasing, each at least ten batches of 1,024.
    seeds : how many runs of each size, 1 to 20.
    vocab_size : entries of the tokenizer trained on the corpus, 292 to 65,536.
    allow_repeat : train for more tokens than the corpus has.
    processes : runs at a time, each of one thread.
    device : where to train.
    progress : print the plan and a progress bar.

    Raises
    ------
    InputError : a value outside its range (an unknown size lists them), a corpus below 1 MB, a budget beyond the unique
        tokens (says how many there are), or a folder that holds something else or another corpus's ladder.
    """
    from filelock import FileLock, Timeout

    folder = Path(folder)
    budgets = _checked_budgets(budgets)
    check_choices("sizes", sizes, SIZES)
    check_range("seeds", seeds, 1, 20, integer=True)
    check_range("vocab_size", vocab_size, 292, 65_536, integer=True)
    check_range("processes", processes, 1, 256, integer=True)
    check_flag("allow_repeat", allow_repeat)
    check_device(device)
    _check_folder(folder)
    texts = read_corpus(corpus)
    _check_recipe(folder, texts.digest, vocab_size)
    tokenizer = _own_tokenizer(folder, texts, vocab_size)
    ids, offsets = encode_documents(tokenizer, texts.train)
    _check_unique(ids, budgets, allow_repeat)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            recipe = _write_corpus(folder, texts, tokenizer, (ids, offsets), budgets)
            plan = [
                _configuration(recipe, size, seed, budgets, device)
                for seed in range(int(seeds))
                for size in sizes
            ]
            if progress:
                _announce(folder, texts, len(ids), plan)
            train_missing(
                plan, folder, allow_repeat=allow_repeat, processes=int(processes), progress=progress
            )
            _merge(folder)
    except Timeout:
        raise InputError(f"folder = {str(folder)!r}: another process is training there") from None
    return load_ladder(folder)


def load_ladder(folder: str | Path) -> Ladder:
    """Read a ladder that `train_ladder` wrote.

    Raises
    ------
    InputError : a folder without a ladder, or a tokenizer that is not the ladder's.
    """
    from tokenizers import Tokenizer

    folder = Path(folder)
    if not (folder / _RECIPE).is_file() or not (folder / _ROWS).is_file():
        raise InputError(f"reference = {str(folder)!r}: holds no ladder; `densing reference train` makes one")
    recipe = _read(folder / _RECIPE)
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    if tokenizer_digest(tokenizer) != recipe["tokenizer_sha256"]:
        raise InputError(
            f"reference = {str(folder)!r}: {TOKENIZER} is not the one that the ladder was trained with"
        )
    frame = pd.read_csv(folder / _ROWS)
    nats = {
        (size, tokens, seed): np.asarray(_read(row_path(folder, size, seed, tokens))["document_nats"])
        for size, tokens, seed in frame[["size", "tokens", "seed"]].itertuples(index=False)
    }
    return Ladder(folder, frame, tokenizer, validation_texts(folder), nats)


def _checked_budgets(budgets: Sequence[float]) -> list[int]:
    if not len(budgets):
        raise InputError("budgets: must hold at least one number of tokens")
    for budget in budgets:
        check_range("budgets", budget, LEAST_BATCHES * BATCH_TOKENS, 1e12, integer=True)
    if any(a >= b for a, b in zip(budgets, budgets[1:], strict=False)):
        raise InputError(f"budgets = {', '.join(f'{b:g}' for b in budgets)}: must increase")
    return [int(budget) for budget in budgets]


def _check_folder(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"folder = {str(folder)!r}: is a file; must be a folder")
    if (
        folder.is_dir()
        and not (folder / _RECIPE).is_file()
        and any(p.name != ".lock" for p in folder.iterdir())
    ):
        raise InputError(
            f"folder = {str(folder)!r}: holds other files; must be new, empty or an earlier ladder"
        )


def _check_recipe(folder: Path, digest: str, vocab_size: int) -> None:
    if not (folder / _RECIPE).is_file():
        return
    recipe = _read(folder / _RECIPE)
    for key, value, what in (("corpus", digest, "corpus"), ("vocab_size", vocab_size, "vocabulary size")):
        if recipe.get(key) != value:
            raise InputError(
                f"folder = {str(folder)!r}: holds a ladder of another {what} ({recipe.get(key)}, this is {value}); "
                "choose another folder"
            )


def _own_tokenizer(folder: Path, texts: OwnCorpus, vocab_size: int) -> "Tokenizer":
    from tokenizers import Tokenizer

    if (folder / _RECIPE).is_file() and (folder / TOKENIZER).is_file():
        return Tokenizer.from_file(str(folder / TOKENIZER))
    return train_bpe(texts.train, vocab_size)


def _check_unique(ids: np.ndarray, budgets: list[int], allow_repeat: bool) -> None:
    unique = (len(ids) - 1) // BATCH_TOKENS * BATCH_TOKENS
    if max(budgets) > unique and not allow_repeat:
        raise InputError(
            f"budgets: {max(budgets):,} tokens, must be at most the {unique:,} unique tokens of the corpus "
            "(allow_repeat=True, on the command line --allow-repeat, goes on)"
        )


def _write_corpus(
    folder: Path,
    texts: OwnCorpus,
    tokenizer: "Tokenizer",
    encoded: tuple[np.ndarray, np.ndarray],
    budgets: list[int],
) -> dict[str, Any]:
    """What the runs read; the recipe comes last, so that a folder with one is complete."""
    for name, array in zip((IDS, OFFSETS), encoded, strict=True):
        write_whole(folder / name, npy_bytes(array))
    if not (folder / _RECIPE).is_file():
        lines = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts.validation)
        write_whole(folder / VALIDATION, lines.encode())
        write_whole(folder / TOKENIZER, tokenizer.to_str().encode())
        recipe = {
            "corpus": texts.digest,
            "train_bytes": texts.n_bytes[0],
            "validation_bytes": texts.n_bytes[1],
            "unique_tokens": int(len(encoded[0])),
            "vocab_size": tokenizer.get_vocab_size(),
            "tokenizer_sha256": tokenizer_digest(tokenizer),
            "warmup_tokens": round(WARMUP_SHARE * max(budgets)),
        }
        write_whole(folder / _RECIPE, (json.dumps(recipe, indent=1) + "\n").encode())
    return _read(folder / _RECIPE)


def _configuration(
    recipe: dict[str, Any], size: str, seed: int, budgets: list[int], device: str
) -> dict[str, Any]:
    """A run, in the words of the family's plan."""
    shape = family_shape(size, recipe["vocab_size"])
    return {
        "size": size,
        "width": shape.width,
        "layers": shape.layers,
        "heads": shape.heads,
        "ff_width": shape.ff_width,
        "embedding_std": shape.embedding_std,
        "n_parameters": shape.n_parameters,
        "n_total": shape.n_parameters + shape.n_embedding,
        "vocab_size": shape.vocab_size,
        "tokenizer": f"own-{recipe['tokenizer_sha256'][:8]}",
        "seed": seed,
        "rate": peak_rate(shape.n_parameters),
        "batch_tokens": BATCH_TOKENS,
        "warmup_tokens": recipe["warmup_tokens"],
        "decay_share": DECAY_SHARE,
        "budgets": " ".join(map(str, budgets)),
        "corpus": recipe["corpus"],
        "device": device,
    }


def _announce(folder: Path, texts: OwnCorpus, tokens: int, plan: list[dict[str, Any]]) -> None:
    train, validation = texts.n_bytes
    print(
        f"corpus    {len(texts.train):,} documents, {train:,} bytes, {tokens:,} tokens; "
        f"{len(texts.validation):,} documents, {validation:,} bytes for validation; {texts.repeated:,} repeats left out"
    )
    print(f"ladder    {len(plan)} runs in {folder}, budgets {plan[0]['budgets']} tokens", flush=True)


def _merge(folder: Path) -> None:
    """Every finished branch of the ladder, whatever plan it belongs to, as one table."""
    rows = []
    for path in (folder / "runs").glob("*/row-*.json"):
        row = _read(path)
        row.pop("document_nats")
        rows.append({**row, "tokens": int(path.stem.split("-")[1])})
    frame = pd.DataFrame(rows).sort_values(["n_parameters", "seed", "tokens"], ignore_index=True)
    write_whole(folder / _ROWS, frame.to_csv(index=False, lineterminator="\n").encode())


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it to make it again") from None
