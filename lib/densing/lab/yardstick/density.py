"""Capacity density: a model's effective size, read off the reference family's curve, over its size."""

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_choice, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.lab.yardstick.curves import (
    FittedCurve,
    effective_parameters,
    optimal_for_loss,
    optimal_parameters,
)
from densing.lab.yardstick.documents import DocumentDraws, draw_documents
from densing.lab.yardstick.fitted import FittedReference, fit_reference, log_values
from densing.lab.yardstick.noise import Noise
from densing.lab.yardstick.results import Density
from densing.lab.yardstick.rows import METRIC, REFERENCE_TOKENS
from densing.lab.yardstick.tasks import task_density

KINDS = ("loss", "task")


def capacity_density(
    metric_value: float | Sequence[float] | Mapping[str, float],
    n_parameters: float,
    *,
    tokens: float | None = None,
    kind: str = "loss",
    metric: str | None = None,
    reference: pd.DataFrame | FittedReference | None = None,
    reference_tokens: float = REFERENCE_TOKENS,
    orders: Sequence[Hashable] | None = None,
    shape: Hashable | None = None,
    document_nats: ArrayLike | None = None,
    reference_document_nats: Mapping[Hashable, ArrayLike] | None = None,
    document_bytes: ArrayLike | None = None,
    noise: Noise | None = None,
    controls: bool = True,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Density:
    """Capacity density of a model against the reference family.

    rho = N_eff / N with N_eff = [A / (L - E - B D0^-beta)]^(1/alpha): the size at which the family, trained for D0
    tokens, reaches the model's loss. A model trained for exactly D0 is read off E' + A / N^alpha through the family's
    runs of D0, any other one off the law of all budgets. Intervals come from refits: each draw adds simulated effects
    of data order, run, branch and size to the fitted curve, refits it, and moves the model by its own seed noise.

    Parameters
    ----------
    metric_value : the model's loss in the reference's unit (bits per byte), one number or one a seed, of a model whose
        learning rate has decayed. For ``kind="task"`` see `task_density`.
    n_parameters : stored parameters, without embeddings as in the family; active or total ones for a mixture.
    tokens : tokens of training; None: D0.
    kind : "loss", or "task": scores on the battery, by the two-step estimate.
    metric : column of the reference; for a task its name.
    reference : table of runs as in `fit_reference`, a fitted reference, or None for the recorded family.
    reference_tokens : D0.
    orders : the reference's seeds whose data orders the model's seeds followed, one a value: what the order does to
        both cancels then. None: orders of its own.
    shape : None: what the model's shape does to its loss is part of its density. A size of the family: the model is a
        run of that size. "new": it stands for any member of the family.
    document_nats, reference_document_nats, document_bytes : nats of each evaluation document under the model and, by
        size, under the family, and bytes of the documents; with all three, documents are resampled too, the same for
        both. A size's documents move all its budgets alike.
    noise : standard deviations instead of the reference's own.
    controls : whether to take the law of all budgets and the two controls too (most of the time it takes); nan else.
    level : of the intervals. draws : refits, 100 to 20,000. seed : of the simulation. The last two, `metric`, `noise`
        and `reference_tokens` are a fitted reference's own where one is given.

    Returns
    -------
    `Density`. At or below the floor of the curve rho is inf, with a warning.

    Raises
    ------
    InputError : a size or token count that is not positive, a loss that is not a positive number, a metric that the
        reference lacks (lists what it has), orders or a shape it does not know.

    References
    ----------
    Xiao et al. (2024), arXiv 2412.04315, for the definition; the two controls and the intervals are this book's.
    """
    check_choice("kind", kind, KINDS)
    check_range("n_parameters", n_parameters, 0, open_low=True)
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    if tokens is not None:
        check_range("tokens", tokens, 0, open_low=True)
    if kind == "task":
        if not isinstance(metric_value, Mapping) and metric is None:
            raise InputError(
                'metric = None: name the task, or give metric_value as scores by task, for kind = "task"'
            )
        return task_density(
            metric_value if isinstance(metric_value, Mapping) else {metric: metric_value},
            n_parameters,
            tokens=tokens,
            reference=reference,
            reference_tokens=reference_tokens,
            level=level,
            draws=draws,
            seed=seed,
        )
    log_losses = log_values("metric_value", metric_value)
    if not isinstance(reference, FittedReference):
        reference = fit_reference(
            reference,
            metric or METRIC,
            reference_tokens=reference_tokens,
            noise=noise,
            draws=draws,
            seed=seed,
        )
    elif metric not in (None, reference.rows.metric):
        raise InputError(f"metric = {metric!r}: the fitted reference has {reference.rows.metric}")
    reference.check_orders(orders, len(log_losses))
    reference.check_shape(shape)
    given = [x is not None for x in (document_nats, reference_document_nats, document_bytes)]
    if any(given) != all(given):
        raise InputError("document_nats, reference_document_nats, document_bytes: give all three or none")
    documents = None
    if all(given):
        documents = draw_documents(
            document_nats, reference_document_nats, document_bytes, reference.draws, reference.seed
        )
    reading = _Reading(reference, log_losses, float(n_parameters), orders, shape, documents, level)
    return reading.density(tokens, controls)


@dataclass(frozen=True, eq=False)
class _Reading:
    """One model held against one fitted reference."""

    reference: FittedReference
    log_losses: NDArray
    n_parameters: float
    orders: Sequence[Hashable] | None
    shape: Hashable | None
    documents: DocumentDraws | None
    level: float
    _seen: dict = field(default_factory=dict)

    def density(self, tokens: float | None, controls: bool) -> Density:
        reference = self.reference
        nominal = reference.reference_tokens
        own = nominal if tokens is None else float(tokens)
        if own != nominal:
            reference.law_or_refuse("tokens", own)
        curve, curve_draws = self._against(reference.curve, nominal)
        law = same_tokens = compute = Estimate(math.nan, math.nan, math.nan, self.level)
        law_draws = None
        if (controls or own != nominal) and reference.law is not None:
            law, law_draws = self._against(reference.law, nominal)
            same_tokens = self._against(reference.law, own)[0]
            compute = self._equal_compute(own)
        method = "curve" if own == nominal else "law"
        chosen, draws = (curve, curve_draws) if method == "curve" else (law, law_draws)
        if math.isinf(chosen.value):
            warnings.warn(
                f"metric_value = {math.exp(self.log_losses.mean()):g}: at or below the floor of the reference's "
                f"{method}, which no size reaches; the density is inf",
                stacklevel=3,
            )
        effective = chosen.value * self.n_parameters
        low, high = reference.size_range
        outside = not low <= effective <= high
        return Density(
            chosen.value,
            chosen.lower,
            chosen.upper,
            effective,
            outside,
            same_tokens,
            compute,
            curve,
            law,
            self.n_parameters,
            own,
            method,
            self.level,
            tuple(self._notes(own, effective, outside, controls)),
            draws,
        )

    def _moved(self, curve: FittedCurve) -> tuple[NDArray, NDArray]:
        """Refitted parameters (B, 5), and the model's loss (B,) in each draw."""
        if id(curve) not in self._seen:
            effects, theta = self.reference.refitted(curve, self.documents)
            moved = self.reference.variant_effects(curve, effects, self.log_losses, self.orders, self.shape)
            if self.documents is not None:
                moved = moved + self.documents.variant
            self._seen[id(curve)] = theta, np.exp(self.log_losses.mean() + moved)
        return self._seen[id(curve)]

    def _against(self, curve: FittedCurve, tokens: float) -> tuple[Estimate, NDArray]:
        theta, losses = self._moved(curve)
        value = effective_parameters(curve.theta, math.exp(self.log_losses.mean()), tokens)
        return self._estimate(value, effective_parameters(theta, losses, tokens), self.n_parameters)

    def _equal_compute(self, tokens: float) -> Estimate:
        flops = 6 * self.n_parameters * tokens
        law = self.reference.law
        theta, losses = self._moved(law)
        value = optimal_for_loss(law.theta, math.exp(self.log_losses.mean()))
        return self._estimate(
            value / optimal_parameters(law.theta, flops),
            optimal_for_loss(theta, losses) / optimal_parameters(theta, flops),
            1.0,
        )[0]

    def _estimate(self, value, draws: NDArray, unit: float) -> tuple[Estimate, NDArray]:
        with np.errstate(divide="ignore", invalid="ignore"):
            log_draws = np.log(draws) - math.log(unit)
            estimate = Estimate.from_draws(float(value) / unit, np.exp(log_draws), self.level)
        return estimate, log_draws

    def _notes(self, tokens: float, effective: float, outside: bool, controls: bool):
        reference = self.reference
        low, high = reference.size_range
        if outside:
            yield f"extrapolated: effective size {effective:.3g} outside {low:.3g} to {high:.3g}"
        budgets = reference.rows.budgets
        if not budgets[0] <= tokens <= budgets[-1]:
            yield f"tokens {tokens:.3g} outside the reference's budgets {budgets[0]:.3g} to {budgets[-1]:.3g}"
        if not controls:
            pass
        elif reference.law is None:
            yield "too few budgets for a law: no controls"
        else:
            best = float(optimal_parameters(reference.law.theta, 6 * self.n_parameters * tokens))
            if not low <= best <= high:
                yield f"equal compute: optimal size {best:.3g} outside {low:.3g} to {high:.3g}"
        if len(reference.curve.rows.seeds) == 1:
            yield "reference of one seed: scatter about the curve stands for seed noise"
