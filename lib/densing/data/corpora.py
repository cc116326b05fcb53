"""The book's text: documentation and code of pinned packages, taken from where they are installed.

The pins are part of the corpus: another version of a package is another corpus. Only packages whose pin is
the same on every supported Python take part, so the standard library (which differs between patch versions)
and networkx are left out. `data/published/corpus_manifest.csv` records what the corpus is; a build that
differs from it is refused.
"""

import hashlib
import json
import os
from dataclasses import asdict
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from densing.checks import check_choice
from densing.data.cleaning import clean_text
from densing.data.dedup import deduplicate
from densing.data.paths import repository_root
from densing.data.provenance import file_digest, public_version, record_file
from densing.data.python_documents import python_pieces
from densing.data.text_choice import Document, fill, hash_order, size_in_bytes, texts_digest
from densing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SPLITS: dict[str, tuple[str, ...]] = {
    # val_a is for development, val_b for the reported loss; no distribution is in two splits.
    "val_a": ("SQLAlchemy", "ipython", "tornado"),
    "val_b": ("dask", "huggingface_hub", "hypothesis", "pyarrow"),
    "train": (
        "accelerate", "distributed", "docutils", "fonttools", "ipykernel", "joblib", "lifelines", "lightgbm",
        "matplotlib", "mpmath", "narwhals", "nbformat", "numpy", "pandas", "pandera", "papermill", "peft", "POT",
        "pydantic", "Pygments", "scikit-learn", "scipy", "seaborn", "setuptools", "snakemake", "Sphinx", "statsmodels",
        "sympy", "torch", "traitlets", "transformers", "typer",
    ),
}  # fmt: skip
OUT_OF_DOMAIN = "val_c"  # a split of its own: it is not made of installed packages
CODE_SHARE = 0.15
VALIDATION_BYTES = 300_000
_LEFT_OUT = {"tests", "test", "_vendor", "vendor", "vendored", "_vendored", "node_modules", "generated"}
_VERSION = 1  # of the rules in this module and in cleaning; part of the cache's name


def documents(split: str) -> tuple[Document, ...]:
    """The documents of a split, in the corpus's own order; the corpus is built if it is not cached.

    Parameters
    ----------
    split : "train" (about 30 MB), "val_a" (development, 300 kB), "val_b" (reported loss, 300 kB), "val_c" (out of
        domain, 300 kB: `densing.data.out_of_domain`).

    Raises
    ------
    InputError : an unknown split, or a corpus that is not the registered one (names the package and both
        versions).
    ArchiveMissing : "val_c" without its package archives; says which command gets them.
    """
    check_choice("split", split, (*SPLITS, OUT_OF_DOMAIN))
    if split == OUT_OF_DOMAIN:
        from densing.data.out_of_domain import out_of_domain_documents

        return out_of_domain_documents()
    return _load(build_corpus(), split)


def distribution_documents(name: str) -> tuple[Document, ...]:
    """Clean documents of one installed distribution, without duplicates: a small corpus that is read in
    seconds.

    Raises
    ------
    InputError : a distribution that is not part of the corpus.
    """
    check_choice("name", name, [n for names in SPLITS.values() for n in names])
    return _read_cached(name)


@cache
def _read_cached(name: str) -> tuple[Document, ...]:
    found = _read(name)
    return tuple(found[i] for i in deduplicate([document.text for document in found]))


def build_corpus(*, verify: bool = True) -> Path:
    """Build the corpus from the installed packages, once, and return the folder that holds it.

    Parameters
    ----------
    verify : refuse a corpus that differs from the registered manifest.

    Raises
    ------
    InputError : a package is absent, or of another version than the manifest's, or its text differs.
    """
    if verify:
        _check_versions(_versions())
    folder = corpus_folder()
    if not (folder / "manifest.csv").is_file():
        _write(_collect(), folder)
    if verify:
        _check_texts(folder)
    return folder


def corpus_folder() -> Path:
    """Where the corpus of the installed packages is cached, whether it is built or not."""
    key = hashlib.sha256(json.dumps([_VERSION, SPLITS, _versions()], sort_keys=True).encode()).hexdigest()[
        :16
    ]
    return repository_root() / "_build" / "cache" / f"corpus-{key}"


def corpus_manifest() -> "pd.DataFrame":
    """What the corpus is: a row a distribution with version, licence, split, counts, sizes and SHA-256."""
    import pandas as pd

    return pd.read_csv(record_file(_manifest_path()))


def corpus_digest() -> str:
    """SHA-256 of the manifest: the identity of the corpus in configurations and tokenizers."""
    return file_digest(_manifest_path())


def split_digest(split: str) -> str:
    """SHA-256 that identifies the text of a split: of the corpus's manifest, or of that of "val_c"."""
    check_choice("split", split, (*SPLITS, OUT_OF_DOMAIN))
    if split == OUT_OF_DOMAIN:
        from densing.data.out_of_domain import manifest_path

        return file_digest(manifest_path())
    return corpus_digest()


def _versions() -> dict[str, str | None]:
    return {name: public_version(name) for names in SPLITS.values() for name in names}


def _manifest_path() -> Path:
    return repository_root() / "data" / "published" / "corpus_manifest.csv"


def _check_versions(versions: dict[str, str | None]) -> None:
    registered = corpus_manifest().set_index("distribution")["version"].astype(str).to_dict()
    for name, version in versions.items():
        if version != registered.get(name):
            raise InputError(
                f"corpus: {name} is {version or 'not installed'}, the registered corpus has {registered.get(name)}; "
                "another version is another corpus (install the pins of requirements.txt)"
            )


@cache
def _check_texts(folder: Path) -> None:
    import pandas as pd

    built = pd.read_csv(folder / "manifest.csv").set_index("distribution")["sha256"]
    registered = corpus_manifest().set_index("distribution")["sha256"]
    different = [name for name in registered.index if built.get(name) != registered[name]]
    if different:
        raise InputError(
            f"corpus: the text of {', '.join(different)} is not the registered one although the versions are; "
            "this is another corpus (another Python parses some files differently), its losses do not compare"
        )


def _collect() -> dict[str, list[Document]]:
    """Documents by split: clean, without duplicates (validation first, so that train holds none of it)."""
    collected = [
        (split, document) for split, names in SPLITS.items() for name in names for document in _read(name)
    ]
    kept = deduplicate([document.text for _, document in collected])
    by_split: dict[str, list[Document]] = {split: [] for split in SPLITS}
    for index in kept:
        split, document = collected[index]
        by_split[split].append(document)
    return {split: _shares(split, found) for split, found in by_split.items()}


def _read(distribution: str) -> list[Document]:
    """Clean candidates of one distribution, by path and place in the file."""
    found = []
    for file in sorted(metadata.files(distribution) or [], key=lambda f: f.as_posix()):
        if file.suffix != ".py" or _LEFT_OUT.intersection(file.parts) or ".." in file.parts:
            continue
        try:
            source = Path(file.locate()).read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        for piece in python_pieces(source):
            if (text := clean_text(piece.text)) is not None:
                found.append(Document(distribution, file.as_posix(), piece.name, piece.kind, text))
    return found


def _shares(split: str, found: list[Document]) -> list[Document]:
    """Code cut to its share (in the order of a hash, so no file is preferred), validation cut to its size."""
    docstrings = [document for document in found if document.kind == "docstring"]
    code = sorted((document for document in found if document.kind == "code"), key=hash_order)
    budget = sum(size_in_bytes(document) for document in docstrings)
    if split != "train":
        docstrings = fill(sorted(docstrings, key=hash_order), (1 - CODE_SHARE) * VALIDATION_BYTES)
        budget = sum(size_in_bytes(document) for document in docstrings)
    chosen = set(docstrings) | set(fill(code, budget * CODE_SHARE / (1 - CODE_SHARE)))
    return [document for document in found if document in chosen]


def _write(by_split: dict[str, list[Document]], folder: Path) -> None:
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for split, found in by_split.items():
        lines = "".join(json.dumps(asdict(document), ensure_ascii=False) + "\n" for document in found)
        _replace(folder / f"{split}.jsonl", lines)
        for name in SPLITS[split]:
            own = [document for document in found if document.distribution == name]
            info = metadata.metadata(name)
            rows.append(
                {
                    "distribution": name,
                    "version": public_version(name),
                    "licence": _licence(info),
                    "split": split,
                    "documents": len(own),
                    "characters": sum(len(document.text) for document in own),
                    "bytes": sum(map(size_in_bytes, own)),
                    "code_bytes": sum(size_in_bytes(document) for document in own if document.kind == "code"),
                    "sha256": texts_digest(own),
                }
            )
    _replace(folder / "manifest.csv", pd.DataFrame(rows).to_csv(index=False))


def _licence(info: metadata.PackageMetadata) -> str:
    text = info.get("License-Expression") or (info.get("License") or "").strip().split("\n")[0]
    if not text or len(text) > 60:
        names = [c.split(" :: ")[-1] for c in info.get_all("Classifier") or [] if c.startswith("License")]
        text = "; ".join(names) or text[:60]
    return text


def _replace(path: Path, text: str) -> None:
    """Write all or nothing: another process may build the same corpus."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(text.encode("utf-8"))
    os.replace(part, path)


@cache
def _load(folder: Path, split: str) -> tuple[Document, ...]:
    with open(folder / f"{split}.jsonl", encoding="utf-8") as file:
        return tuple(Document(**json.loads(line)) for line in file)
