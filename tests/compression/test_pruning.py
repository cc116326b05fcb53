"""Magnitude masks: what they drop, and that dropped weights stay at zero."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from densing.compression import hold_masks, magnitude_masks
from densing.errors import InputError
from densing.models import Decoder, DecoderConfig
from densing.training import Trainer, constant


def decoder(seed=0):
    return Decoder(DecoderConfig(40, 8, 2, 2, context=16), seed=seed)


def matrices(model):
    return [name for name, p in model.named_parameters() if p.ndim == 2 and not name.startswith("embedding")]


@settings(max_examples=20, deadline=None)
@given(sparsity=st.floats(0, 0.99), seed=st.integers(0, 99), scope=st.sampled_from(["global", "layer"]))
def test_exactly_the_smallest_magnitudes_go(sparsity, seed, scope):
    model = decoder(seed)
    weights = dict(model.named_parameters())
    names = matrices(model)
    masks = magnitude_masks(model, sparsity, names, scope=scope)
    groups = [names] if scope == "global" else [[name] for name in names]
    for group in groups:
        kept = torch.cat([masks[name].flatten() for name in group])
        magnitude = torch.cat([weights[name].detach().abs().flatten() for name in group])
        assert int((~kept).sum()) == round(sparsity * len(kept))
        if kept.any() and not kept.all():
            assert magnitude[kept].min() >= magnitude[~kept].max()


def test_a_global_ranking_spares_the_layer_of_large_weights():
    model = decoder()
    names = matrices(model)
    with torch.no_grad():
        dict(model.named_parameters())[names[0]].mul_(100)
    masks = magnitude_masks(model, 0.5, names)
    assert masks[names[0]].float().mean() > 0.95
    assert magnitude_masks(model, 0.5, names, scope="layer")[names[0]].float().mean() == 0.5


def test_equal_magnitudes_still_give_the_exact_count():
    model = decoder()
    (name, *_) = matrices(model)
    with torch.no_grad():
        dict(model.named_parameters())[name].fill_(0.5)
    assert int((~magnitude_masks(model, 0.25, [name])[name]).sum()) == 8 * 24 // 4


def test_dropped_weights_are_exactly_zero_after_training_and_the_others_move():
    model = decoder()
    names = matrices(model)
    masks = magnitude_masks(model, 0.5, names)
    hold_masks(model, masks)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    windows = np.random.default_rng(0).integers(0, 40, (40, 17))
    Trainer(model, windows, schedule=constant(), peak_rate=1e-2, batch_sequences=4).run_to(10)
    for name, weight in model.named_parameters():
        if name in masks:
            assert (weight[~masks[name]] == 0).all(), name
            assert (weight[masks[name]] != before[name][masks[name]]).float().mean() > 0.9
        else:
            assert (weight != before[name]).any()


def test_bad_input_is_named():
    model = decoder()
    names = matrices(model)
    for call, words in (
        (lambda: magnitude_masks(model, 1.0, names), "sparsity = 1"),
        (lambda: magnitude_masks(model, 0.5, ["nothing"]), "nothing"),
        (lambda: magnitude_masks(model, 0.5, []), "names"),
        (lambda: magnitude_masks(model, 0.5, names, scope="row"), "scope"),
        (lambda: hold_masks(model, {names[0]: torch.ones(2, dtype=torch.bool)}), "shape"),
    ):
        with pytest.raises(InputError, match=words):
            call()
