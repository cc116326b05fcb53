"""The family's text by name of its tokenizer: the book's corpus, or a small text that is read in seconds."""

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from densing.data.corpora import corpus_digest, distribution_documents, documents
from densing.data.tokenizers import encode_documents, encoded_split, load_tokenizer, train_bpe

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Tokenizer of the small text: trained on the documentation of these packages, tested on that of the last.
QUICK_TOKENIZER = "quick-1024"
_QUICK_TRAIN, _QUICK_TEST = ("lifelines", "seaborn"), "nbformat"


@cache
def family_tokenizer(name: str) -> "Tokenizer":
    """A tokenizer of the book, or the small text's own."""
    if name != QUICK_TOKENIZER:
        return load_tokenizer(name)
    texts = [document.text for package in _QUICK_TRAIN for document in distribution_documents(package)]
    return train_bpe(texts, int(name.split("-")[1]))


@cache
def family_split(name: str, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Token ids, offsets of documents and UTF-8 bytes of documents of a split under a tokenizer.

    Raises
    ------
    ArchiveMissing : the out-of-domain split, where its packages are not here.
    """
    if name == QUICK_TOKENIZER:
        packages = _QUICK_TRAIN if split == "train" else (_QUICK_TEST,)
        texts = [document.text for package in packages for document in distribution_documents(package)]
        ids, offsets = encode_documents(family_tokenizer(name), texts)
    else:
        ids, offsets = encoded_split(name, split)
        texts = [document.text for document in documents(split)]
    return np.asarray(ids), offsets, np.array([len(text.encode("utf-8")) for text in texts])


def text_digest(name: str) -> str:
    """Identity of the text in configurations: the corpus's, 12 digits, or "quick"."""
    return "quick" if name == QUICK_TOKENIZER else corpus_digest()[:12]
