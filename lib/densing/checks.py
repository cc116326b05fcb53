"""Checks of what callers pass in. Each raises `InputError` naming the parameter, the value and what is allowed."""

import math
import numbers
from collections.abc import Collection, Iterable

from densing.errors import InputError


def check_range(
    name: str,
    value: object,
    low: float | None = None,
    high: float | None = None,
    *,
    open_low: bool = False,
    open_high: bool = False,
    integer: bool = False,
) -> None:
    """Refuse `value` unless it is a finite number between `low` and `high`.

    Parameters
    ----------
    name : the parameter's name, as the caller knows it.
    low, high : bounds, allowed themselves unless `open_low` or `open_high`; None for no bound.
    integer : refuse numbers that are not whole.
    """
    left = "(" if open_low or low is None else "["
    right = ")" if open_high or high is None else "]"
    allowed = (
        f"{left}{'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'}{right}"
    )
    kind = "a whole number" if integer else "a number"
    good = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    good = good and not (integer and value != int(value))
    if good and low is not None:
        good = value > low if open_low else value >= low
    if good and high is not None:
        good = value < high if open_high else value <= high
    if not good:
        raise InputError(f"{name} = {value!r}: must be {kind} in {allowed}")


def check_choice(name: str, value: object, allowed: Iterable) -> None:
    """Refuse `value` unless it is one of `allowed`."""
    allowed = list(allowed)
    if not any(value is a or (type(value) is type(a) and value == a) for a in allowed):
        raise InputError(f"{name} = {value!r}: must be one of {', '.join(map(repr, allowed))}")


def check_choices(name: str, values: object, allowed: Iterable) -> None:
    """Refuse `values` unless it is a non-empty list without repeats of things that are in `allowed`."""
    allowed = list(allowed)
    if isinstance(values, str) or not isinstance(values, Collection) or not values:
        raise InputError(
            f"{name} = {values!r}: must be a non-empty list from {', '.join(map(repr, allowed))}"
        )
    for value in values:
        check_choice(name, value, allowed)
    if len(set(values)) != len(values):
        raise InputError(f"{name} = {values!r}: must not repeat a value")


def check_flag(name: str, value: object) -> None:
    """Refuse `value` unless it is True or False."""
    check_choice(name, value, (True, False))


def check_device(device: object) -> None:
    """Refuse `device` unless tensors can live on it here."""
    if device == "cpu":
        return
    if not isinstance(device, str):
        raise InputError(f"device = {device!r}: must be a name such as 'cpu', 'cuda', 'cuda:1' or 'mps'")
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"device = {device!r}: must be a device of this machine ({str(error).splitlines()[0]})"
        ) from None


def check_columns(name: str, columns: Iterable[str], required: Iterable[str]) -> None:
    """Refuse a table whose `columns` lack one of `required`."""
    columns = list(columns)
    missing = [c for c in required if c not in columns]
    if missing:
        raise InputError(
            f"{name}: missing column {', '.join(map(repr, missing))}; it has {', '.join(map(repr, columns))}"
        )
