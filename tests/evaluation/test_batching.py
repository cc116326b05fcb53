import numpy as np
import pytest
import torch
from torch import nn

from densing.evaluation import context_length, row_losses
from densing.models import Decoder, DecoderConfig


class Counting(nn.Module):
    """Counts what is read of the model within."""

    def __init__(self, model):
        super().__init__()
        self.model, self.config, self.seen, self.widest = model, model.config, 0, 0

    def token_losses(self, windows):
        assert not self.model.training and torch.is_inference_mode_enabled()
        self.seen += len(windows)
        self.widest = max(self.widest, windows.numel())
        return self.model.token_losses(windows)


def rows(rng, lengths, vocabulary=20):
    return [rng.integers(0, vocabulary, size=n) for n in lengths]


def test_losses_are_the_models_own_in_the_order_given():
    model = Decoder(DecoderConfig(20, 16, 2, 2, context=12), seed=1)
    some = rows(np.random.default_rng(0), [5, 13, 2, 9, 9, 3, 12])
    losses = row_losses(model, some, batch_tokens=30)
    with torch.no_grad():
        for row, values in zip(some, losses, strict=True):
            expected = model.token_losses(torch.tensor(row)[None])[0].numpy()
            assert values.dtype == np.float64 and np.allclose(values, expected, atol=1e-5)


def test_equal_rows_are_read_once_and_batches_keep_to_their_size():
    model = Counting(Decoder(DecoderConfig(20, 16, 1, 2, context=12)))
    model.train()
    some = rows(np.random.default_rng(0), [5, 7, 9, 11])
    losses = row_losses(model, [*some, *some[::-1]], batch_tokens=20)
    assert model.seen == 4 and model.widest <= 20 and model.training
    assert all(np.array_equal(a, b) for a, b in zip(losses[:4], losses[:3:-1], strict=True))


def test_refusals_and_a_model_without_a_context():
    model = Decoder(DecoderConfig(20, 16, 1, 2, context=12))
    assert context_length(model) == 12 and context_length(nn.Linear(1, 1)) is None
    with pytest.raises(ValueError, match="row 1 has 14 tokens, the model reads 12"):
        row_losses(model, [np.zeros(13, int), np.zeros(14, int)])
    with pytest.raises(ValueError, match="row 0 has shape"):
        row_losses(model, [np.zeros(1, int)])
    with pytest.raises(ValueError, match="batch_tokens = 0"):
        row_losses(model, [np.zeros(3, int)], batch_tokens=0)
    assert row_losses(model, []) == []
