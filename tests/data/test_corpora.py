import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from densing.data import corpora, corpus_manifest, deduplicate, distribution_documents, documents
from densing.data.cleaning import clean_text
from densing.data.python_documents import dedent_docstring, python_pieces

SOURCE = '''"""Module text."""

class A:
    """Class text.

        indented
    not
    """

    @property
    def b(self):
        """Method text."""
        return 1


async def c():
    def inner():
        "Inner text."
    return inner
'''


def test_docstrings_and_code_are_taken_by_ast():
    pieces = list(python_pieces(SOURCE))
    assert [(p.kind, p.name) for p in pieces] == [
        ("docstring", ""),
        ("docstring", "A"),
        ("docstring", "A.b"),
        ("docstring", "c.inner"),
        ("code", "A"),
        ("code", "c"),
    ]
    assert pieces[1].text == "Class text.\n\n    indented\nnot"
    code = pieces[4].text
    assert (
        code.startswith("class A:")
        and "@property" in code
        and "Method text" not in code
        and "return 1" in code
    )
    assert list(python_pieces("def broken(:")) == []


def test_dedent_is_the_standard_librarys():
    import inspect

    text = "First.\n\n        Second\n            third\n        "
    assert dedent_docstring(text) == inspect.cleandoc(text)


def test_cleaning_refuses_what_it_says():
    good = "A sentence of plain words that says something. " * 6
    assert clean_text(good) == good.strip()
    assert clean_text("short") is None
    assert clean_text(good * 100) is None
    assert clean_text(good + "x" * 401) is None
    assert clean_text(good + "\nLicensed under the Apache License") is None
    assert clean_text("| 1.0 | 2.5 | 3.25 | 4.125 | 5 |\n" * 12) is None
    assert clean_text(good + "\ud800") is None
    assert clean_text(good.replace(". ", ".\r\n")) == clean_text(good.replace(". ", ".\n"))


words = st.lists(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), min_size=60, max_size=90)


@given(words, st.integers(0, 59))
def test_near_duplicates_are_dropped_and_the_first_kept(letters, place):
    text = " ".join(f"{letter}{i}" for i, letter in enumerate(letters))
    other = " ".join(f"{letter}{i + 1000}" for i, letter in enumerate(letters))
    tail = text + " end"
    assert deduplicate([text, other, tail, text]) == [0, 1]


def test_dissimilar_texts_stay():
    base = [f"w{i}" for i in range(100)]
    changed = base.copy()
    for i in range(5, 100, 12):
        changed[i] = "other"  # every 13-gram holds a change
    assert deduplicate([" ".join(base), " ".join(changed)]) == [0, 1]


def test_a_small_corpus_is_the_same_twice_and_belongs_to_the_registered_one():
    first = distribution_documents("nbformat")
    corpora._read_cached.cache_clear()
    assert distribution_documents("nbformat") == first
    assert all(200 <= len(d.text) <= 20_000 and d.distribution == "nbformat" for d in first)
    with pytest.raises(ValueError, match="name = 'leftpad'"):
        distribution_documents("leftpad")


def test_the_manifest_is_whole():
    manifest = corpus_manifest()
    assert set(manifest["distribution"]) == {name for names in corpora.SPLITS.values() for name in names}
    assert not manifest["distribution"].duplicated().any()
    sizes = manifest.groupby("split")["bytes"].sum()
    assert 30e6 <= sizes["train"] <= 45e6
    assert sizes[["val_a", "val_b"]].between(295_000, 330_000).all()
    code = manifest.groupby("split")["code_bytes"].sum() / sizes
    assert code.between(0.14, 0.17).all()


def test_another_version_is_another_corpus(monkeypatch):
    monkeypatch.setattr(
        corpora, "public_version", lambda name: "9.9" if name == "numpy" else _registered(name)
    )
    with pytest.raises(ValueError, match="numpy is 9.9, the registered corpus has 2.4.6"):
        corpora.build_corpus()


def _registered(name):
    return corpus_manifest().set_index("distribution")["version"][name]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_built_corpus_is_the_registered_one_and_splits_share_no_text(built_corpus):
    manifest = corpus_manifest().set_index("distribution")
    held = set()
    for split in ("val_a", "val_b"):
        for name in corpora.SPLITS[split]:
            own = [d.text for d in documents(split) if d.distribution == name]
            digest = hashlib.sha256(
                "".join(hashlib.sha256(t.encode()).hexdigest() for t in own).encode()
            ).hexdigest()
            assert digest == manifest["sha256"][name]
        held |= {d.text for d in documents(split)}
    train = documents("train")
    assert not held & {d.text for d in train}
    assert {d.distribution for d in train} == set(corpora.SPLITS["train"])
