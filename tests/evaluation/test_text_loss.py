"""Bits per byte of whole texts, against sums written out here."""

import math

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from densing.data import encode_documents, train_bpe
from densing.errors import InputError
from densing.evaluation import bits_per_character, document_losses, text_bits_per_byte, text_losses
from densing.models import Decoder, DecoderConfig, HuggingFaceDecoder, transformers_tokenizer

WORDS = "river stone garden winter letter window morning table silver answer number bright follow".split()
TEXTS = [
    f"Line {i} of the {WORDS[i % 13]} text; {i * i} is its square – naïve.\n" * (1 + i % 12)
    for i in range(60)
]


class Uniform:
    """Every entry is as likely as any other."""

    def __init__(self, vocab_size, context=None):
        self.config = type("Config", (), {"vocab_size": vocab_size, "context": context})

    def token_losses(self, windows):
        return torch.full(windows[:, 1:].shape, math.log(self.config.vocab_size))


class Position(Uniform):
    """A token costs as many nats as it has places before it in its window, plus one."""

    def token_losses(self, windows):
        return torch.arange(1.0, windows.shape[1])[None].expand(len(windows), -1)


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe(TEXTS, 320)


def byte_tokenizer(**marks):
    """A token a byte, ids behind the marks."""
    names = sorted(set(marks.values()))
    vocab = {name: i for i, name in enumerate(names)}
    vocab |= {c: len(names) + i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    bytes_only = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytes_only.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=bytes_only, clean_up_tokenization_spaces=False, **marks)


def test_uniform_model_costs_the_logarithm_of_its_vocabulary(tokenizer):
    found = text_losses(Uniform(320), tokenizer, TEXTS)
    tokens = sum(len(tokenizer.encode(text).ids) + 1 for text in TEXTS)
    n_bytes = sum(len(text.encode()) for text in TEXTS)
    assert found.tokens == tokens and found.lossless == 1 and found.start == found.end == "<doc>"
    assert found.bits_per_byte == pytest.approx(math.log2(320) * tokens / n_bytes, rel=1e-6)
    without = math.log2(320) * (tokens - len(TEXTS)) / n_bytes
    assert found.bits_per_byte_without_end == pytest.approx(without, rel=1e-6)
    assert text_bits_per_byte(Uniform(320), tokenizer, TEXTS) == found.bits_per_byte


def test_same_as_the_familys_own_evaluation(tokenizer):
    model = Decoder(DecoderConfig(320, 24, 2, 2, context=64, embedding_std=0.5), seed=2).eval()
    ids, offsets = encode_documents(tokenizer, TEXTS)
    nll, _, bounds = document_losses(model, ids, offsets, length=64, marker=tokenizer.token_to_id("<doc>"))
    found = text_losses(model, tokenizer, TEXTS)
    assert found.window == 64
    expected = bits_per_character(nll.sum(), sum(len(text.encode()) for text in TEXTS))
    assert found.bits_per_byte == pytest.approx(expected, rel=1e-9)
    assert np.allclose(found.nats, np.add.reduceat(nll, bounds[:-1]), rtol=1e-9)


def test_both_kinds_of_tokenizer_agree(tokenizer):
    model = Decoder(DecoderConfig(320, 24, 2, 2, context=64, embedding_std=0.5), seed=2).eval()
    wrapped = transformers_tokenizer(tokenizer, 64)
    ours = text_losses(model, tokenizer, TEXTS)
    theirs = text_losses(HuggingFaceDecoder(model.to_llama(), wrapped), wrapped, TEXTS)
    assert theirs.bits_per_byte == pytest.approx(ours.bits_per_byte, abs=1e-6)
    assert (theirs.start, theirs.end, theirs.tokens, theirs.lossless) == ("<doc>", "<doc>", ours.tokens, 1)


def test_without_a_mark_of_the_beginning_the_first_token_is_given():
    texts = ["é" + "x" * 9_999, "ab" * 50, "z"]
    found = text_losses(Uniform(256), byte_tokenizer(), texts, window=100)
    # bytes: 10,001 and 100 and 1; of each document one token is given, and the é that it begins with it
    assert found.start == found.end == "" and found.kept.tolist() == [0, 1]
    assert found.tokens == 10_000 + 99
    assert found.bytes.tolist() == [9_999, 99] and found.text_bytes.tolist() == [10_001, 100]
    assert found.nats == pytest.approx(np.array([10_000, 99]) * math.log(256))
    assert found.document_nats[1] == pytest.approx(100 * math.log(256))


def test_marks_are_put_around_documents():
    texts = ["abc" * 4_000, "d"]
    n_bytes = 12_001
    both = text_losses(Uniform(258), byte_tokenizer(bos_token="<s>", eos_token="</s>"), texts)
    assert (both.start, both.end, both.tokens) == ("<s>", "</s>", n_bytes + 2)
    assert both.end_nats == pytest.approx(np.full(2, math.log(258)))
    end = text_losses(Uniform(257), byte_tokenizer(eos_token="</s>"), texts)
    assert (end.start, end.end, end.tokens, end.kept.tolist()) == ("", "</s>", 12_000, [0])
    assert end.bytes.tolist() == [11_999]


def test_windows_start_anew_without_overlap(tokenizer):
    text = ["abc" * 4_000]
    found = text_losses(Position(258), byte_tokenizer(bos_token="<s>", eos_token="</s>"), text, window=100)
    full, rest = divmod(12_001, 100)
    assert found.nats[0] == full * 5_050 + rest * (rest + 1) / 2
    assert text_losses(Uniform(320, context=4_096), tokenizer, TEXTS).window == 2_048
    assert text_losses(Uniform(320, context=128), tokenizer, TEXTS).window == 128


def test_a_tokenizer_that_forgets_is_told():
    lossy = Tokenizer(models.WordLevel({"[UNK]": 0, "the": 1, "cat": 2}, unk_token="[UNK]"))
    lossy.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=lossy, unk_token="[UNK]", eos_token="[UNK]")
    texts = ["the cat " * 1_500, "the dog " * 500]
    found = text_losses(Uniform(3), wrapped, texts)
    assert found.lossless < 1


@pytest.mark.parametrize(
    ("texts", "options", "told"),
    [
        (["short"], {}, "text: has 5 bytes, must be at least 10,000"),
        ([], {}, "one or more documents"),
        ("one text " * 2_000, {}, "one or more documents"),
        (["x" * 10_000, ""], {}, "none of them empty"),
        (["x" * 10_000 + "\ud800"], {}, "UTF-8"),
        (TEXTS, {"window": 63}, "window = 63"),
        (TEXTS, {"window": 2_049}, "window = 2049"),
    ],
)
def test_bad_texts_are_refused_before_any_work(tokenizer, texts, options, told):
    class Untouched(Uniform):
        def token_losses(self, windows):
            raise AssertionError("work was done")

    with pytest.raises(InputError, match=told):
        text_losses(Untouched(320), tokenizer, texts, **options)


def test_bad_models_are_refused(tokenizer):
    class Nan(Uniform):
        def token_losses(self, windows):
            return torch.full(windows[:, 1:].shape, math.nan)

    with pytest.raises(InputError, match="context = 32"):
        text_losses(Uniform(320, context=32), tokenizer, TEXTS)
    with pytest.raises(InputError, match="the model has 200 entries"):
        text_losses(Uniform(200), tokenizer, TEXTS)
    marked = byte_tokenizer(bos_token="<s>")
    marked.add_special_tokens({"eos_token": "</s>"})  # behind all that the model has
    with pytest.raises(InputError, match="gives the id 257, the model has 257 entries"):
        text_losses(Uniform(257), marked, TEXTS)
    with pytest.raises(InputError, match="not finite"):
        text_losses(Nan(320), tokenizer, TEXTS)
