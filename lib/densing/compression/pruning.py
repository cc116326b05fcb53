"""Pruning by masks: which weights stay, and keeping the others at zero while a model trains on."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from densing.checks import check_choice, check_range
from densing.errors import InputError

SCOPES = ("global", "layer")


def magnitude_masks(
    model: nn.Module, sparsity: float, names: Sequence[str], *, scope: str = "global"
) -> dict[str, Tensor]:
    """Masks that drop the weights of smallest magnitude.

    Exactly round(sparsity * n) of the n weights are dropped; of equal magnitudes those that come first.

    Parameters
    ----------
    model : whose weights are ranked; not changed.
    sparsity : share of the named weights to drop, [0, 1).
    names : parameters to prune, as in ``model.named_parameters()``.
    scope : "global" ranks all named weights together, "layer" each parameter by itself.

    Returns
    -------
    Name to a boolean mask of the parameter's shape, true where a weight stays.

    Raises
    ------
    InputError : an unknown parameter (lists the model's), no name, a share or a scope that is not allowed.

    References
    ----------
    Han et al. (2015), Learning both weights and connections for efficient neural networks, section 3.
    """
    check_range("sparsity", sparsity, 0, 1, open_high=True)
    check_choice("scope", scope, SCOPES)
    weights = _named(model, names)
    groups = [list(weights)] if scope == "global" else [[name] for name in weights]
    masks = {}
    for group in groups:
        magnitude = torch.cat([weights[name].detach().abs().flatten() for name in group])
        kept = torch.ones(len(magnitude), dtype=torch.bool, device=magnitude.device)
        order = torch.argsort(magnitude, stable=True)
        kept[order[: round(sparsity * len(magnitude))]] = False
        pieces = kept.split([weights[name].numel() for name in group])
        masks |= {name: piece.view_as(weights[name]) for name, piece in zip(group, pieces, strict=True)}
    return masks


def hold_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Set the dropped weights to zero, and keep them there in any later training of this model.

    Their gradients are zero from now on, so that an optimizer started afterwards never moves them: neither its moments
    nor weight decay change a weight of zero.

    Parameters
    ----------
    model : changed in place. masks : from `magnitude_masks`.

    Raises
    ------
    InputError : an unknown parameter, or a mask of another shape.
    """
    weights = _named(model, list(masks))
    for name, mask in masks.items():
        if mask.shape != weights[name].shape:
            raise InputError(
                f"masks: {name} has shape {tuple(mask.shape)}, must be {tuple(weights[name].shape)}"
            )
    for name, mask in masks.items():
        with torch.no_grad():
            weights[name].mul_(mask)
        weights[name].register_hook(lambda gradient, mask=mask: gradient * mask)


def _named(model: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    known = dict(model.named_parameters())
    if not names:
        raise InputError("names: must hold at least one parameter")
    for name in names:
        check_choice("names", name, known)
    return {name: known[name] for name in names}
