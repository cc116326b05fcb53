import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densing.data import TokenCounts, encode_documents, load_tokenizer, tokenizer_digest, train_bpe

WORDS = "alpha beta gamma delta shape width height area sum of metres return value array index column row mean".split()
TEXTS = [
    f"def {WORDS[i % 18]}_{WORDS[i % 7]}({WORDS[i % 11]}):\n    return {i} + {WORDS[i % 5]}\n\nThe {WORDS[i % 17]} of "
    f"{WORDS[i % 13]} {i * 37}, in {WORDS[i % 3]}.\n"
    for i in range(400)
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe(TEXTS, 360)


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_any_text_comes_back(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_ids_are_specials_reserved_bytes_merges(tokenizer):
    assert tokenizer.get_vocab_size() == 360
    named = [tokenizer.id_to_token(i) for i in range(36)]
    assert named == ["<doc>", "<pad>", "<ans>", "<end>", *(f"<r{i}>" for i in range(32))]
    assert all(len(tokenizer.id_to_token(i)) == 1 for i in range(36, 292))
    assert all(len(tokenizer.id_to_token(i)) > 1 for i in range(292, 360))


def test_digits_stand_alone_and_no_token_crosses_a_newline(tokenizer):
    for i in range(36, 360):
        token = tokenizer.decode([i])
        assert token == "\n" or "\n" not in token
        assert len(token) == 1 or not any(c.isdigit() for c in token)
    merged = train_bpe([f"year {y} " * 5 for y in range(1900, 2020)], 330, merge_digits=True)
    assert any("19" in merged.decode([i]) for i in range(292, 330))


def test_training_twice_gives_the_same_bytes_and_smaller_is_a_prefix(tokenizer):
    assert train_bpe(TEXTS, 360).to_str() == tokenizer.to_str()
    assert tokenizer_digest(train_bpe(TEXTS, 359)) != tokenizer_digest(tokenizer)
    small = train_bpe(TEXTS, 320)
    assert [small.id_to_token(i) for i in range(320)] == [tokenizer.id_to_token(i) for i in range(320)]


def test_documents_start_with_their_mark(tokenizer):
    ids, offsets = encode_documents(tokenizer, TEXTS[:5])
    assert ids.dtype == np.uint16 and len(offsets) == 6 and offsets[-1] == len(ids)
    assert (ids[offsets[:-1]] == tokenizer.token_to_id("<doc>")).all()
    for i, text in enumerate(TEXTS[:5]):
        assert tokenizer.decode(ids[offsets[i] + 1 : offsets[i + 1]].tolist()) == text


@given(st.lists(st.integers(0, 6), min_size=1, max_size=50))
def test_unigram_probabilities(ids):
    counts = TokenCounts.from_ids(np.array(ids), 8)
    p = np.exp(counts.unigram_logprob())
    assert p.sum() == pytest.approx(1)
    assert p[7] == pytest.approx(1 / np.maximum(counts.counts, 1).sum())  # never seen: counted once
    assert np.argmax(p) == np.argmax(np.maximum(counts.counts, 1))


@pytest.mark.parametrize(
    "options, told",
    [
        ({"vocab_size": 291}, "vocab_size = 291"),
        ({"vocab_size": 259, "reserved": 0}, "vocab_size = 259"),
        ({"vocab_size": 5_000}, r"vocab_size = 5000: these texts support at most \d+ entries"),
        ({"vocab_size": 400, "byte_level": False}, "byte_level = False"),
        ({"vocab_size": 400, "reserved": -1}, "reserved = -1"),
    ],
)
def test_refusals(options, told):
    with pytest.raises(ValueError, match=told):
        train_bpe(TEXTS, **options)


def test_counts_refuse_what_the_vocabulary_lacks():
    with pytest.raises(ValueError, match="token 9"):
        TokenCounts.from_ids(np.array([1, 9]), 9)


@pytest.mark.parametrize("name", ["bpe", "wordpiece-1024", "bpe-1024-digits", "bpe-many"])
def test_unknown_names_are_refused(name):
    with pytest.raises(ValueError, match="bpe-V"):
        load_tokenizer(name)
