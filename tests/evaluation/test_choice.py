import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from densing.data import load_tokenizer
from densing.evaluation import (
    CHOICE_FAMILIES,
    EncodedChoices,
    choice_items,
    choice_log_p,
    choice_measures,
    encode_choices,
    multiple_choice_error,
)
from densing.models import Decoder, DecoderConfig

SKILL_FAMILIES = ("fact_recall", "fact_hop", "arith_choice")
log_probabilities = arrays(float, (5, 4), elements=st.floats(-600, 0))


def test_two_choices_by_hand():
    measures = choice_measures([[-1.0, -2.0], [-1.0, -2.0]], [0, 1])
    assert measures.p_choices == pytest.approx([0.7311, 0.2689], abs=5e-5)
    assert measures.brier == pytest.approx([0.1446, 1.0689], abs=1e-4)
    assert measures.p_vocab == pytest.approx([np.exp(-1), np.exp(-2)])
    assert measures.accuracy.tolist() == [1, 0]


@given(log_probabilities, arrays(float, (5, 1), elements=st.floats(-600, 0)))
def test_a_constant_per_item_leaves_everything_but_p_vocab(log_p, constant):
    correct = np.arange(5) % 4
    before, after = choice_measures(log_p, correct), choice_measures(log_p + constant, correct)
    assert after.p_choices == pytest.approx(before.p_choices, abs=1e-9)
    assert after.brier == pytest.approx(before.brier, abs=1e-9)
    assert after.p_vocab == pytest.approx(before.p_vocab * np.exp(constant[:, 0]))
    assert np.all((0 <= after.brier) & (after.brier <= 2))


def test_far_below_what_a_float_holds_and_ties():
    measures = choice_measures([[-2000.0, -2001.0, -np.inf]], [0])
    assert measures.p_choices == pytest.approx([0.7311], abs=5e-5) and measures.p_vocab[0] == 0
    assert choice_measures([[-1.0, -1.0], [-1.0, -1.0]], [0, 1]).accuracy.tolist() == [1, 0]


@pytest.mark.parametrize(
    "log_p, correct, message",
    [
        ([[-1.0, 0.5]], [0], "item 0 holds"),
        ([[-1.0, -2.0], [np.nan, -1.0]], [0, 0], "item 1 holds"),
        ([[-np.inf, -np.inf]], [0], "one finite"),
        ([[-1.0, -2.0]], [2], "must be 0 to 1"),
        ([[-1.0, -2.0]], [[0]], "one index a row"),
    ],
)
def test_refused_scores(log_p, correct, message):
    with pytest.raises(ValueError, match=message):
        choice_measures(log_p, correct)


class Certain(torch.nn.Module):
    """Nats by token: token k costs k / 10 wherever it stands."""

    def token_losses(self, windows):
        return windows[:, 1:].double() / 10


def test_error_by_hand_with_and_without_length():
    first = EncodedChoices(np.array([0]), (np.array([3]), np.array([1, 1, 1])), 1, (2, 6))  # 0.3 against 0.3
    second = EncodedChoices(np.array([0]), (np.array([5]), np.array([1, 1])), 0, (5, 1))  # 0.5 against 0.2
    third = EncodedChoices(np.array([0]), (np.array([5]), np.array([9]), np.array([1])), 2, (1, 1, 1))
    items = [first, second, third]
    assert multiple_choice_error(Certain(), items) == pytest.approx(2 / 3)  # a tie goes to the first
    assert multiple_choice_error(Certain(), items, normalize="length") == 0
    assert np.allclose(choice_log_p(Certain(), items)[2], [-0.5, -0.9, -0.1])


def test_refused_questions():
    one = np.array([1])
    for fields, message in (
        ((one, (one,), 0, (1,)), "at least 2"),
        ((one, (one, one), 2, (1, 1)), "correct = 2"),
        ((one, (one, one), 0, (1, 0)), "lengths"),
    ):
        with pytest.raises(ValueError, match=message):
            EncodedChoices(*fields)
    with pytest.raises(ValueError, match="normalize = 'bytes'"):
        multiple_choice_error(Certain(), [EncodedChoices(one, (one, one), 0, (1, 1))], "bytes")
    with pytest.raises(ValueError, match="at least one question"):
        multiple_choice_error(Certain(), [])


@pytest.fixture(scope="module")
def tokenizer(built_corpus):
    return load_tokenizer("bpe-1024")


@pytest.fixture(scope="module")
def model(tokenizer):
    return Decoder(DecoderConfig(tokenizer.get_vocab_size(), 16, 2, 2), seed=4)


def test_item_likelihoods_are_those_of_transformers(model, tokenizer):
    llama = model.to_llama()
    for family in SKILL_FAMILIES:
        items = encode_choices(tokenizer, choice_items(family, 6))
        for item, log_p in zip(items, choice_log_p(model, items), strict=True):
            for choice, value in zip(item.choices, log_p, strict=True):
                ids = torch.tensor(np.concatenate([item.prompt, choice]))[None]
                with torch.no_grad():
                    logits = llama(ids).logits[0].double().log_softmax(-1)
                expected = sum(
                    float(logits[len(item.prompt) + k - 1, token]) for k, token in enumerate(choice)
                )
                assert value == pytest.approx(expected, abs=1e-4)


class Shifted(Decoder):
    def forward(self, tokens):
        return super().forward(tokens) + 7.0


def test_a_constant_on_all_logits_changes_nothing(model, tokenizer):
    shifted = Shifted(model.config)
    shifted.load_state_dict(model.state_dict())
    items = encode_choices(tokenizer, choice_items("arith_choice", 40))
    for a, b in zip(choice_log_p(model, items), choice_log_p(shifted, items), strict=True):
        assert np.allclose(a, b, atol=1e-4)
    for normalize in ("none", "length"):
        assert multiple_choice_error(model, items, normalize) == multiple_choice_error(
            shifted, items, normalize
        )


@pytest.mark.slow
@pytest.mark.parametrize("choices", [2, 4, 8])
def test_an_untrained_model_is_at_chance(model, tokenizer, choices):
    for family in CHOICE_FAMILIES:
        if family == "code_close" and choices == 8:
            continue  # six endings cannot be right equally often among eight choices
        items = encode_choices(tokenizer, choice_items(family, 400, choices=choices))
        chance = 1 - 1 / choices
        standard_error = np.sqrt(chance * (1 - chance) / len(items))
        assert multiple_choice_error(model, items) == pytest.approx(chance, abs=4 * standard_error), family
