"""Capacity density from published scores: a model's effective size over its size, on a reference family's curve.

Losses of the paper's reference models are not public, so its two steps, size to loss and loss to score, collapse into
one: along a family of one recipe the log odds of a score above chance rise linearly with ln N. Inverting that line
turns a score into the size at which the reference family would reach it. The level of the densities depends on the
reference; their growth depends on it through the exchange rate between log odds and ln N only.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from densing.errors import InputError
from densing.lab.published.curves import CORE5, ORIGIN, DensitySetting


def published_density(
    models: pd.DataFrame,
    reference: str = "LLaMA",
    benchmarks: Sequence[str] = CORE5,
    parameters: str = "total",
    min_benchmarks: int = 4,
    aggregate: str = "log_effective",
    *,
    reference_models: pd.DataFrame | None = None,
    chance: Mapping[str, float] | None = None,
    clip: float | None = 0.001,
    strict: bool = False,
    date_from: str | None = None,
    date_to: str | None = None,
) -> pd.DataFrame:
    """Capacity density of each model that carries enough benchmarks.

    Parameters
    ----------
    models : columns model, family, params_total, params_active, is_moe, release_date, and scores in [0, 1].
    reference : family whose dense models define effective size, or ``"joint"``: a regression of the log odds on ln N
        and time over all models, with effective size at 2023-02-24.
    benchmarks : score columns to use.
    parameters : count all parameters, or the ``"active"`` ones of a mixture of experts.
    min_benchmarks : models with fewer of `benchmarks` are left out.
    aggregate : ``"log_effective"`` averages ln of the effective size over benchmarks; ``"score"`` averages the
        chance-rescaled scores first and inverts once.
    reference_models : table that holds the reference family; `models` by default.
    chance : scores of guessing that differ from `CHANCE`.
    clip : rescaled scores are moved into [clip, 1 - clip]; counted in ``n_clipped``. None: scores at or below chance
        are left out, with a warning that counts them.
    strict : refuse scores that are not above chance.
    date_from, date_to : keep models released on or after, and before, these dates.

    Returns
    -------
    One row a model, in order of release: model, family, is_moe, release_date, date_precision, day (since 2023-02-24),
    parameters, n_benchmarks, n_clipped, ``ln_effective_<benchmark>``, ln_effective, ln_density, density, density_low
    and density_high (range when one benchmark is left out; this and the single benchmarks for log_effective only).
    ``attrs["curves"]`` holds the `ReferenceCurves` (for ``"score"``, of the averages of all benchmarks).

    Raises
    ------
    InputError : an unknown benchmark or family, a family with fewer than three dense sizes that carry a benchmark or
        whose scores do not rise with size, scores outside [0, 1], sizes that are not positive, date_from not before
        date_to, no model left.

    References
    ----------
    Xiao et al. (2024), arXiv 2412.04315; the collapsed inversion is this book's.
    """
    first, last = _date("date_from", date_from), _date("date_to", date_to)
    if first is not None and last is not None and first >= last:
        raise InputError(f"date_from = {date_from!r}: must be before date_to = {date_to!r}")
    setting = DensitySetting.checked(
        models,
        reference,
        benchmarks,
        parameters,
        min_benchmarks,
        aggregate,
        reference_models=reference_models,
        chance=chance,
        clip=clip,
        strict=strict,
    )
    frame, logits = setting.frame, setting.logits
    ln_effective, per_benchmark, curves = setting.invert(logits[None])
    carried = np.isfinite(logits)
    kept = setting.studied & (carried.sum(axis=1) >= min_benchmarks)
    if first is not None:
        kept &= (frame["release_date"] >= first).to_numpy()
    if last is not None:
        kept &= (frame["release_date"] < last).to_numpy()
    if not kept.any():
        raise InputError(f"min_benchmarks = {min_benchmarks}: no model is left; lower it or widen the dates")
    size = frame[f"params_{parameters}"].to_numpy(float)
    result = pd.DataFrame(
        {
            "model": frame["model"],
            "family": frame["family"],
            "is_moe": frame["is_moe"] == 1,
            "release_date": frame["release_date"],
            "date_precision": frame.get("release_date_precision", "day"),
            "day": (frame["release_date"] - ORIGIN) / pd.Timedelta(days=1),
            "parameters": size,
            "n_benchmarks": carried.sum(axis=1),
            "n_clipped": setting.clipped.sum(axis=1),
        }
    )
    if aggregate == "log_effective":
        for column, name in enumerate(setting.benchmarks):
            result[f"ln_effective_{name}"] = per_benchmark[0, :, column]
    result["ln_effective"] = ln_effective[0]
    result["ln_density"] = ln_effective[0] - np.log(size)
    result["density"] = np.exp(result["ln_density"])
    if aggregate == "log_effective":
        # leaving out benchmark b changes the mean of m values by (mean - value_b) / (m - 1)
        m = carried.sum(axis=1, keepdims=True)
        shift = np.where(
            carried & (m > 1), (ln_effective[0][:, None] - per_benchmark[0]) / np.maximum(m - 1, 1), 0.0
        )
        result["density_low"] = np.exp(result["ln_density"] + shift.min(axis=1))
        result["density_high"] = np.exp(result["ln_density"] + shift.max(axis=1))
    result = result[kept].sort_values(["release_date", "model"], ignore_index=True)
    result.attrs["curves"] = curves
    return result


def _date(name: str, value: object) -> pd.Timestamp | None:
    if value is None:
        return None
    stamp = pd.to_datetime(value, format="ISO8601", errors="coerce")
    if pd.isna(stamp):
        raise InputError(f"{name} = {value!r}: must be a date such as 2024-05-31")
    return stamp
