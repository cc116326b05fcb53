"""A document of the corpus, and how a part of many is chosen so that every machine chooses the same."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """One text: `kind` is "docstring", "code", "passage" or "address", `module` the file, `name` what it belongs to."""

    distribution: str
    module: str
    name: str
    kind: str
    text: str


def hash_order(document: Document) -> str:
    """Key that sorts documents in an order without preference."""
    return hashlib.sha256(f"{document.module}:{document.name}:{document.text}".encode()).hexdigest()


def size_in_bytes(document: Document) -> int:
    """UTF-8 bytes of the text."""
    return len(document.text.encode("utf-8"))


def fill(candidates: Iterable[Document], size: float) -> list[Document]:
    """The first of `candidates` until `size` bytes are reached."""
    taken, total = [], 0
    for document in candidates:
        if total >= size:
            break
        taken.append(document)
        total += size_in_bytes(document)
    return taken


def texts_digest(documents: Iterable[Document]) -> str:
    """SHA-256 over the texts, in their order."""
    hashes = "".join(hashlib.sha256(document.text.encode("utf-8")).hexdigest() for document in documents)
    return hashlib.sha256(hashes.encode()).hexdigest()
