"""What published figures do not say: how far reports of one score differ, and the day behind a month."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.checks import check_columns, check_range
from densing.errors import FitError, InputError
from densing.lab.published.curves import CHANCE, CORE5, DensitySetting
from densing.lab.published.density import published_density
from densing.laws.capability.sigmoid import chance_logit

_ROUNDS = 50
_FREEDOM = 10
_ABOVE_CHANCE = 0.05


@dataclass(frozen=True)
class ReportingNoise:
    """How reports of one score differ, in log odds above chance; made by `reporting_noise`.

    Attributes
    ----------
    protocol : by benchmark, the offsets of whole sources (their prompts, shots, scoring) from their mean.
    residual : by benchmark, what is left of single reports after model and source are accounted for.
    """

    protocol: dict[str, NDArray]
    residual: dict[str, NDArray]


def reporting_noise(
    reports: pd.DataFrame,
    benchmarks: Sequence[str] = CORE5,
    *,
    chance: Mapping[str, float] | None = None,
) -> ReportingNoise:
    """Separate differences between sources from differences between single reports, by an additive model.

    Log odds of a report = model + source + residual, by least squares over all models with several reports. Reports
    within a twentieth of chance are left out: there the log odds magnify differences without end.

    Parameters
    ----------
    reports : columns model, benchmark, score, source_id; one row a report.

    Raises
    ------
    InputError : missing columns, or a benchmark with fewer than ten reports more than models and sources.
    """
    check_columns("reports", reports.columns, ["model", "benchmark", "score", "source_id"])
    protocol, residual = {}, {}
    for name in benchmarks:
        floor = {**CHANCE, **(chance or {})}.get(name, 0.0)
        rows = reports[reports["benchmark"] == name].drop_duplicates(["model", "source_id"])
        rows = rows[(rows["score"] - floor) / (1 - floor) > _ABOVE_CHANCE]
        rows = rows[rows.groupby("model")["score"].transform("size") > 1]
        odds = chance_logit(rows["score"], floor)
        model, source = (pd.factorize(rows[column])[0] for column in ("model", "source_id"))
        design = np.zeros((len(rows), model.max(initial=-1) + source.max(initial=-1) + 2))
        design[np.arange(len(rows)), model] = 1
        design[np.arange(len(rows)), model.max(initial=-1) + 1 + source] = 1
        coefficients, _, rank, _ = np.linalg.lstsq(design, odds, rcond=None)
        freedom = len(rows) - rank
        if freedom < _FREEDOM:
            raise InputError(
                f"reports: {name} has too few repeated reports ({freedom} to spare, needs {_FREEDOM})"
            )
        offsets = coefficients[model.max() + 1 :]
        protocol[name] = offsets - offsets.mean()
        residual[name] = (odds - design @ coefficients) * np.sqrt(len(rows) / freedom)
    return ReportingNoise(protocol, residual)


def uncertain_density(
    models: pd.DataFrame,
    *,
    noise: ReportingNoise | None = None,
    jitter: bool = True,
    draws: int = 2000,
    seed: int = 0,
    **setting: object,
) -> tuple[pd.DataFrame, NDArray, NDArray]:
    """Densities with draws of what is uncertain about the table itself.

    Parameters
    ----------
    models, setting : as `published_density`.
    noise : added to every score's log odds, those of the reference family included, whose curves are refitted in each
        draw. Scores of one source (column ``<benchmark>_source``; without it, of one family) share their protocol's
        offset. None: scores as published.
    jitter : move dates known to the month uniformly within it.

    Returns
    -------
    frame : `published_density`; ``attrs["redrawn"]`` is the share of noise draws that were replaced because the
        reference did not rise with size in them.
    date_draws, value_draws : (draws, rows of frame) days and ln densities, for `densing.fitters.fit_trend`.
    """
    check_range("draws", draws, 1, integer=True)
    frame = published_density(models, **setting)
    rng = np.random.default_rng(seed)
    dates = np.tile(frame["day"].to_numpy(), (draws, 1))
    if jitter:
        month = (frame["date_precision"] == "month").to_numpy()
        stamp = frame["release_date"][month]
        first = 1 - stamp.dt.day.to_numpy()
        length = stamp.dt.days_in_month.to_numpy()
        dates[:, month] += first + np.floor(rng.random((draws, month.sum())) * length)
    values = np.tile(frame["ln_density"].to_numpy(), (draws, 1))
    frame.attrs["redrawn"] = 0.0
    if noise is None:
        return frame, dates, values
    checked = DensitySetting.checked(
        models, **{key: value for key, value in setting.items() if key not in ("date_from", "date_to")}
    )
    missing = [name for name in checked.benchmarks if name not in noise.residual]
    if missing:
        raise InputError(f"noise: has nothing for {', '.join(missing)}")
    place = {name: row for row, name in enumerate(checked.frame["model"]) if checked.studied[row]}
    rows = frame["model"].map(place).to_numpy()
    limit = np.inf if checked.clip is None else np.log(1 / checked.clip - 1)
    left, replaced = np.arange(draws), 0
    for _ in range(_ROUNDS):
        shifts = np.stack(
            [_shifts(noise, name, checked.frame, len(left), rng) for name in checked.benchmarks], -1
        )
        ln_effective, _, _ = checked.invert(np.clip(checked.logits + shifts, -limit, limit))
        values[left] = ln_effective[:, rows] - np.log(frame["parameters"].to_numpy())
        left = left[np.isnan(values[left]).any(axis=1)]
        replaced += len(left)
        if not len(left):
            frame.attrs["redrawn"] = replaced / (draws + replaced)
            return frame, dates, values
    raise FitError(
        "noise: is so large that the reference family hardly ever rises with size; try another reference"
    )


def _shifts(
    noise: ReportingNoise, name: str, frame: pd.DataFrame, draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Offsets of one benchmark's log odds, (draws, rows of frame): one a source, and one a score."""
    column = f"{name}_source"
    source = pd.factorize((frame[column] if column in frame else frame["family"]).fillna("none"))[0]
    offsets = rng.choice(noise.protocol[name], size=(draws, source.max() + 1))[:, source]
    return offsets + rng.choice(noise.residual[name], size=offsets.shape)
