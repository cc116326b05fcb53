"""Rounding to the nearest: error bound, number of levels, bits stored."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from densing.compression import round_to_nearest, round_weights
from densing.errors import InputError
from densing.models import Decoder, DecoderConfig


@settings(max_examples=30, deadline=None)
@given(bits=st.integers(2, 8), seed=st.integers(0, 99), unit=st.floats(1e-3, 10))
def test_no_weight_moves_by_more_than_half_a_step(bits, seed, unit):
    weight = unit * torch.randn(5, 30, generator=torch.Generator().manual_seed(seed))
    found = round_to_nearest(weight, bits)
    # a scale in half precision may be too small by 2^-11, which the largest code adds up
    slack = 0.5 + 2.0 ** (bits - 1) * 2.0**-10
    assert ((found.values - weight).abs() <= slack * found.scale).all()
    assert found.codes.abs().max() == 2 ** (bits - 1) - 1
    assert found.stored_bits == 150 * bits + 16 * 5


def test_values_on_the_grid_are_kept():
    weight = torch.tensor([[7.0, -3.0, 0.0, 1.0]]) / 8
    torch.testing.assert_close(round_to_nearest(weight, 4).values, weight, rtol=1e-3, atol=0)
    assert (round_to_nearest(torch.zeros(2, 3), 4).values == 0).all()


def test_fewer_bits_err_more():
    weight = torch.randn(20, 64, generator=torch.Generator().manual_seed(0))
    errors = [
        float((round_to_nearest(weight, bits).values - weight).square().mean()) for bits in (8, 6, 4, 2)
    ]
    assert errors == sorted(errors) and 200 < errors[2] / errors[0] < 400, "sixteen times the step: 256"


def test_a_model_is_rounded_in_place_where_asked_only():
    model = Decoder(DecoderConfig(40, 8, 2, 2, context=16))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    names = ["blocks.0.qkv.weight"]
    found = round_weights(model, 4, names)
    for name, weight in model.named_parameters():
        assert torch.equal(weight, found[name].values if name in found else before[name])
    assert all(len(row.unique()) <= 15 for row in dict(model.named_parameters())[names[0]])


def test_bad_input_is_named():
    model = Decoder(DecoderConfig(40, 8, 2, 2, context=16))
    for call, words in (
        (lambda: round_to_nearest(torch.ones(2, 2), 1), "bits = 1"),
        (lambda: round_to_nearest(torch.ones(4), 4), "shape"),
        (lambda: round_to_nearest(torch.full((2, 2), torch.nan), 4), "finite"),
        (lambda: round_weights(model, 4, ["nothing"]), "nothing"),
    ):
        with pytest.raises(InputError, match=words):
            call()
