"""Speeds measured side by side: contenders take turns, so that a machine that slows down slows all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from densing.checks import check_choice, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate

#: Units of work a second, given a time to spend in seconds.
RateFunction = Callable[[float], float]


@dataclass(frozen=True)
class Rates:
    """Rates of several contenders, round by round.

    Attributes
    ----------
    values : contender to its rates (rounds,), units of work a second.
    """

    values: Mapping[str, np.ndarray]

    def median(self, name: str) -> float:
        """Median rate of a contender over the rounds."""
        check_choice("name", name, self.values)
        return float(np.median(self.values[name]))

    def best(self, names: list[str]) -> str:
        """The one with the highest median rate."""
        return max(names, key=self.median)


def compare(
    contenders: Mapping[str, RateFunction], *, rounds: int = 7, seconds: float = 2.0, seed: int = 0
) -> Rates:
    """Rates of contenders that take turns, in another order every round, after a round that is thrown away.

    Parameters
    ----------
    contenders : name to a function that works for about the seconds it is given and returns its rate.
    rounds : rounds that count, >= 3.
    seconds : of one turn, > 0.
    seed : of the orders.

    Raises
    ------
    InputError : no contender, or a value out of range.
    """
    check_range("rounds", rounds, 3, integer=True)
    check_range("seconds", seconds, 0, open_low=True)
    if not contenders:
        raise InputError("contenders = {}: must hold at least one")
    rng = np.random.default_rng(seed)
    names = list(contenders)
    found: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for i in rng.permutation(len(names)):
            rate = contenders[names[i]](seconds if turn else seconds / 4)
            if turn:
                found[names[i]].append(rate)
    return Rates({name: np.array(rates) for name, rates in found.items()})


def speed_ratio(
    rates: Rates, ours: str, other: str, *, level: float = 0.95, draws: int = 2_000, seed: int = 0
) -> Estimate:
    """How many times as fast `ours` is as `other`: ratio of medians, rounds resampled together.

    Parameters
    ----------
    rates : of one comparison.
    ours, other : contenders.
    level, draws, seed : of the interval.
    """
    for name, value in (("ours", ours), ("other", other)):
        check_choice(name, value, rates.values)
    pairs = np.stack([rates.values[ours], rates.values[other]])
    chosen = np.random.default_rng(seed).integers(0, pairs.shape[1], (draws, pairs.shape[1]))
    medians = np.median(pairs[:, chosen], axis=2)
    centre = np.median(pairs, axis=1)
    return Estimate.from_draws(centre[0] / centre[1], medians[0] / medians[1], level)
