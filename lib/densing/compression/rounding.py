"""Weights rounded to a few bits after training."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from densing.checks import check_choice, check_range
from densing.errors import InputError


@dataclass(frozen=True)
class Rounded:
    """A matrix of whole numbers with a scale a row.

    Attributes
    ----------
    codes : (rows, columns) whole numbers from -(2^(bits-1) - 1) to 2^(bits-1) - 1, as int8.
    scale : (rows, 1), what one step is worth.
    bits : of a code.
    """

    codes: Tensor
    scale: Tensor
    bits: int

    @property
    def values(self) -> Tensor:
        """The matrix that the codes stand for."""
        return self.codes * self.scale

    @property
    def stored_bits(self) -> int:
        """Bits of the codes, and 16 for each scale."""
        return self.codes.numel() * self.bits + 16 * self.scale.numel()


def round_to_nearest(weight: Tensor, bits: int) -> Rounded:
    """Round every row to the nearest multiple of its scale, the largest magnitude over 2^(bits-1) - 1.

    Parameters
    ----------
    weight : (rows, columns). bits : 2 to 8.

    Raises
    ------
    InputError : another number of bits, or not a matrix of finite numbers.
    """
    check_range("bits", bits, 2, 8, integer=True)
    if weight.ndim != 2 or not torch.isfinite(weight).all():
        raise InputError(f"weight: must be a matrix of finite numbers, has shape {tuple(weight.shape)}")
    largest = 2 ** (bits - 1) - 1
    weight = weight.detach()
    # scales are stored in half precision; a row of zeros keeps scale 1
    scale = (weight.abs().amax(dim=1, keepdim=True) / largest).half().float()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    codes = torch.round(weight / scale).clamp_(-largest, largest).to(torch.int8)
    return Rounded(codes, scale, bits)


def round_weights(model: nn.Module, bits: int, names: Sequence[str]) -> dict[str, Rounded]:
    """Round some of a model's matrices in place.

    Parameters
    ----------
    model : changed in place. bits : as in `round_to_nearest`.
    names : matrices to round, as in ``model.named_parameters()``.

    Returns
    -------
    Name to its `Rounded` matrix.

    Raises
    ------
    InputError : an unknown parameter (lists the model's).
    """
    known = dict(model.named_parameters())
    for name in names:
        check_choice("names", name, known)
    rounded = {name: round_to_nearest(known[name], bits) for name in names}
    with torch.no_grad():
        for name, found in rounded.items():
            known[name].copy_(found.values)
    return rounded
