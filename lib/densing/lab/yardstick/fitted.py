"""The reference family fitted once: both curves, their noise, and the refits that intervals are made of."""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_choice, check_range
from densing.errors import InputError
from densing.lab.yardstick.curves import LEAST_BUDGETS, FittedCurve, fit_curve, loss_at
from densing.lab.yardstick.documents import DocumentDraws
from densing.lab.yardstick.noise import Effects, Noise, add_lack_of_fit, draw_effects, estimate_seed_noise
from densing.lab.yardstick.rows import METRIC, REFERENCE_TOKENS, ReferenceRows, read_reference

#: Budgets below this share of the nominal one enter the law only if it predicts them.
EARLY_SHARE = 0.25
#: Mean residual up to which early budgets are predicted.
EARLY_ERROR = 0.01
#: Seeds from which the spread of a variant's own losses is believed.
OWN_SPREAD = 5


@dataclass(frozen=True, eq=False)
class FittedReference:
    """A family with the two curves fitted to it; made by `fit_reference`.

    Attributes
    ----------
    rows : all runs. reference_tokens : the nominal budget D0.
    curve : E' + A / N^alpha through the runs of D0. noise : scatter about it.
    draws, seed : of the simulation.
    """

    rows: ReferenceRows
    reference_tokens: float
    curve: FittedCurve
    noise: Noise
    draws: int
    seed: int
    _given_noise: bool = False

    @cached_property
    def early(self) -> "EarlyBudgets":
        """Whether the budgets far below D0 belong into the law."""
        return early_budgets(self.rows, self.reference_tokens)

    @cached_property
    def law(self) -> FittedCurve | None:
        """E + A / N^alpha + B / D^beta through all budgets, None where there are too few."""
        rows = self.rows.take(~np.isin(self.rows.tokens, self.early.left_out))
        if len(rows.budgets) < LEAST_BUDGETS:
            return None
        return fit_curve(rows, one_budget=False)

    @cached_property
    def law_noise(self) -> Noise | None:
        """Scatter about the law."""
        if self.law is None or self._given_noise:
            return None if self.law is None else self.noise
        return add_lack_of_fit(self.noise, self.law)

    @property
    def size_range(self) -> tuple[float, float]:
        """Effective sizes outside half the smallest and twice the largest size are extrapolated."""
        return float(self.curve.n_parameters.min()) / 2, 2 * float(self.curve.n_parameters.max())

    @cached_property
    def curve_draws(self) -> tuple[Effects, NDArray]:
        """Simulated effects, and parameters (B, 5) of the curve refitted to each draw of them."""
        return _refits(self.curve, self._effects(self.curve, self.noise))

    @cached_property
    def law_draws(self) -> tuple[Effects, NDArray]:
        """Simulated effects, and parameters (B, 5) of the law refitted to each draw of them."""
        return _refits(self.law, self._effects(self.law, self.law_noise))

    def refitted(self, curve: FittedCurve, documents: DocumentDraws | None) -> tuple[Effects, NDArray]:
        """Effects and refits of one of the two curves, on resampled evaluation documents where there are any."""
        if documents is None:
            return self.curve_draws if curve is self.curve else self.law_draws
        noise = self.noise if curve is self.curve else self.law_noise
        return _refits(curve, self._effects(curve, noise), documents.on_sizes(curve.rows.size))

    def _effects(self, curve: FittedCurve, noise: Noise) -> Effects:
        return draw_effects(noise, curve.rows, np.random.default_rng([self.seed, 0]), self.draws)

    def variant_effects(
        self,
        curve: FittedCurve,
        effects: Effects,
        log_losses: NDArray,
        orders: Sequence[Hashable] | None,
        shape: Hashable | None,
    ) -> NDArray:
        """Simulated effects (B,) on the mean log loss of a variant's seeds.

        The same number of seeds gets the same random numbers, so that draws of two variants can be compared.
        """
        rng = np.random.default_rng([self.seed, 1])
        normal, own_shape = rng.standard_normal(self.draws), rng.standard_normal(self.draws)
        count = len(log_losses)
        total = np.zeros(self.draws)
        spread = effects.scale["run"] ** 2 + effects.scale["branch"] ** 2
        values = log_losses
        if orders is None:
            spread = spread + effects.scale["order"] ** 2
        else:
            total = total + np.mean([effects.order[label] for label in orders], axis=0)
            values = log_losses - [self._order_shift(curve, label) for label in orders]
        spread = np.sqrt(spread)
        if count >= OWN_SPREAD:
            spread = np.maximum(spread, values.std(ddof=1))
        total = total + normal * spread / math.sqrt(count)
        if shape == "new":
            total = total + own_shape * effects.scale["size"]
        elif shape is not None:
            total = total + effects.size[shape]
        return total

    def _order_shift(self, curve: FittedCurve, label: Hashable) -> float:
        residual = curve.rows.log_loss - curve.log_fitted
        return float(residual[curve.rows.seed == label].mean())

    def check_orders(self, orders: Sequence[Hashable] | None, count: int) -> None:
        """Refuse data orders that the reference did not use, or another number of them than of values."""
        if orders is None:
            return
        if isinstance(orders, str) or len(orders) != count:
            raise InputError(f"orders = {orders!r}: must name the data order of each of the {count} values")
        for label in orders:
            check_choice("orders", label, self.curve.rows.seeds)

    def check_shape(self, shape: Hashable | None) -> None:
        """Refuse a shape that is neither None, "new", nor a size of the family."""
        check_choice("shape", shape, [None, "new", *self.curve.rows.sizes.index.tolist()])

    def loss(self, n_parameters: ArrayLike, tokens: float | None = None) -> NDArray:
        """Fitted loss at sizes: on the curve of D0, or with `tokens` on the law."""
        fitted = self.curve if tokens is None else self.law_or_refuse("tokens", tokens)
        return loss_at(fitted.theta, n_parameters, self.reference_tokens if tokens is None else tokens)

    def law_or_refuse(self, name: str, value: float) -> FittedCurve:
        """The law; refused where the family has too few budgets to fit one."""
        if self.law is None:
            raise InputError(
                f"{name} = {value:g}: the reference has {len(self.rows.budgets)} budgets, too few for a law of size "
                f"and tokens; only variants of {self.reference_tokens:g} tokens can be measured against it"
            )
        return self.law

    def params(self) -> pd.DataFrame:
        """Parameters of both curves, a row each. Known only jointly: not constants of nature."""
        fitted = {"curve": self.curve} | ({} if self.law is None else {"law": self.law})
        return pd.DataFrame({name: one.params for name, one in fitted.items()}).T


def fit_reference(
    reference: pd.DataFrame | ReferenceRows | None = None,
    metric: str = METRIC,
    *,
    reference_tokens: float = REFERENCE_TOKENS,
    noise: Noise | None = None,
    draws: int = 2000,
    seed: int = 0,
) -> FittedReference:
    """Fit the yardstick to a family.

    Parameters
    ----------
    reference : one row a size, seed and budget (columns size, n_parameters, tokens, seed and the metric); None: the
        recorded family.
    metric : column of the loss.
    reference_tokens : the nominal budget D0 at which effective sizes are read.
    noise : standard deviations to use instead of the family's own, for a ladder with too few seeds to estimate them.
    draws : refits for intervals, 100 to 20,000.
    seed : of the simulation.

    Raises
    ------
    InputError : as in `read_reference`; a budget D0 that the family lacks (lists its budgets) or has at fewer than
        four sizes.
    """
    check_range("draws", draws, 100, 20_000, integer=True)
    check_range("seed", seed, 0, 2**32 - 1, integer=True)
    check_range("reference_tokens", reference_tokens, 0, open_low=True)
    rows = reference if isinstance(reference, ReferenceRows) else read_reference(reference, metric)
    if reference_tokens not in rows.budgets:
        raise InputError(
            f"reference_tokens = {reference_tokens:g}: the reference has the budgets "
            + ", ".join(f"{b:g}" for b in rows.budgets)
        )
    curve = fit_curve(rows.at(reference_tokens), one_budget=True)
    if noise is None:
        late = rows.take(rows.tokens >= EARLY_SHARE * reference_tokens)
        found = add_lack_of_fit(estimate_seed_noise(late), curve)
    else:
        found = noise
    return FittedReference(
        rows, float(reference_tokens), curve, found, int(draws), int(seed), noise is not None
    )


@dataclass(frozen=True)
class EarlyBudgets:
    """Budgets far below D0: how well the law of the others predicts them.

    Attributes
    ----------
    residual : mean log residual, nan where there was nothing to try. left_out : budgets that the law does not use.
    """

    residual: float = math.nan
    left_out: tuple[float, ...] = ()


def early_budgets(rows: ReferenceRows, reference_tokens: float) -> EarlyBudgets:
    """Whether the budgets below a quarter of D0 enter the law: if the law of the others predicts them within 1 %.

    The mean residual decides. Models of few steps may still be in the first plateau of training, where no power of D
    describes them.
    """
    early = rows.tokens < EARLY_SHARE * reference_tokens
    late = rows.take(~early)
    if not early.any() or len(late.budgets) < LEAST_BUDGETS:
        return EarlyBudgets()
    without = fit_curve(late, one_budget=False)
    tried = rows.take(early)
    residual = float(np.mean(tried.log_loss - np.log(_at_rows(without.theta, tried))))
    return EarlyBudgets(residual, tuple(tried.budgets) if abs(residual) > EARLY_ERROR else ())


def _at_rows(theta: NDArray, rows: ReferenceRows) -> NDArray:
    return loss_at(theta, rows.n_parameters, rows.tokens)


def _refits(curve: FittedCurve, effects: Effects, shift: NDArray | float = 0.0) -> tuple[Effects, NDArray]:
    return effects, curve.refit(curve.log_fitted + effects.total + shift)


def log_values(name: str, values: float | Sequence[float] | Mapping) -> NDArray:
    """Logarithms (k,) of losses, one a seed, each checked to be a finite number above 0."""
    values = [values] if isinstance(values, int | float | np.number) else list(np.ravel(values))
    if not values:
        raise InputError(f"{name}: must hold at least one loss")
    for value in values:
        check_range(name, value, 0, open_low=True)
    return np.log(np.asarray(values, float))
