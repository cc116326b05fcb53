"""Reference curves: the log odds of a score above chance along a family of models, and their inversion."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.checks import check_choice, check_choices, check_range
from densing.errors import InputError
from densing.laws.capability.sigmoid import chance_logit

#: The five benchmarks of the densing-law paper.
CORE5 = ("mmlu", "bbh", "math", "humaneval", "mbpp")
#: Score of guessing, by benchmark; a score that is not listed here is taken to start at 0.
CHANCE = {
    "mmlu": 0.25,
    "mmlu_pro": 0.1,
    "bbh": 0.2,
    "arc_c": 0.25,
    "arc_c_mc": 0.25,
    "hellaswag": 0.25,
    "winogrande": 0.5,
    "xwinograd": 0.5,
    "gpqa": 0.25,
}
#: Reference families with at least three dense sizes and all core scores; "joint" needs no family.
REFERENCES = ("LLaMA", "Qwen1.5", "Qwen2.5", "joint")
AGGREGATES = ("log_effective", "score")
#: Day 0 of every trend: the release of the oldest models of the table.
ORIGIN = pd.Timestamp("2023-02-24")

_IDENTITY = {
    "model", "organisation", "family", "params_total", "params_active", "is_moe", "train_tokens",
    "release_date", "n_benchmarks_core5", "date_recalled", "size_recalled",
}  # fmt: skip


@dataclass(frozen=True)
class ReferenceCurves:
    """One line a benchmark: log odds of the score above chance = slope * ln N + intercept.

    Attributes
    ----------
    reference : family name, or "joint".
    slope, intercept : by benchmark; exchange rate between log odds and ln N, and the level.
    growth_per_day : by benchmark, for "joint" only: days and ln N are exchanged at this rate.
    """

    reference: str
    slope: dict[str, float]
    intercept: dict[str, float]
    growth_per_day: dict[str, float]


@dataclass(frozen=True)
class DensitySetting:
    """Checked inputs of `published_density`, and its inversion for many versions of the scores at once.

    Attributes
    ----------
    frame : models, and after them the reference family where it comes from another table.
    studied, ruler : rows of `frame` that are models, and that belong to the reference family.
    logits, clipped : (n, benchmarks) log odds above chance, nan where absent, and whether they were clipped.
    """

    frame: pd.DataFrame
    studied: NDArray
    ruler: NDArray
    reference: str
    benchmarks: tuple[str, ...]
    aggregate: str
    clip: float | None
    logits: NDArray
    clipped: NDArray

    @classmethod
    def checked(
        cls,
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
    ) -> "DensitySetting":
        """Check every input; `models` and `reference_models` become one frame, of which `studied` marks the models."""
        check_choice("parameters", parameters, ("total", "active"))
        check_choice("aggregate", aggregate, AGGREGATES)
        check_choices("benchmarks", benchmarks, score_columns(models))
        check_range("min_benchmarks", min_benchmarks, 1, len(benchmarks), integer=True)
        home = models if reference_models is None else reference_models
        check_choice("reference", reference, [*sorted(set(home["family"])), "joint"])
        frame, studied = models, np.ones(len(models), bool)
        ruler = (home["family"] == reference).to_numpy()
        if home is not models and reference != "joint":
            check_choices("benchmarks", benchmarks, score_columns(home))
            frame = pd.concat([models, home[ruler]], ignore_index=True)
            studied = np.arange(len(frame)) < len(models)
            ruler = ~studied
        frame = frame.reset_index(drop=True)
        sizes = frame[["params_total", "params_active"]].to_numpy(float)
        if not (np.isfinite(sizes).all() and (sizes > 0).all()):
            bad = frame["model"][(~(sizes > 0)).any(axis=1)].iloc[0]
            raise InputError(f"params_total, params_active: must be positive; {bad!r} is not")
        scores = frame[list(benchmarks)].to_numpy(float)
        check_scores(frame["model"], benchmarks, scores)
        floor = np.array([{**CHANCE, **(chance or {})}.get(name, 0.0) for name in benchmarks])
        low = scores <= floor
        if strict and low.any():
            row, column = np.argwhere(low)[0]
            raise InputError(
                f"{benchmarks[column]} of {frame['model'][row]!r} is {scores[row, column]:g}: "
                f"must be above chance, {floor[column]:g}"
            )
        if clip is None and low.any():
            warnings.warn(f"{low.sum()} scores at or below chance are left out", stacklevel=3)
        rescaled = (scores - floor) / (1 - floor)
        clipped = np.zeros(scores.shape, bool) if clip is None else (rescaled < clip) | (rescaled > 1 - clip)
        logits = chance_logit(scores, floor, clip=clip)
        return cls(frame, studied, ruler, reference, tuple(benchmarks), aggregate, clip, logits, clipped)

    def invert(self, logits: NDArray) -> tuple[NDArray, NDArray, ReferenceCurves]:
        """Effective sizes from (B, n, benchmarks) log odds, the reference refitted in each of the B versions.

        Returns
        -------
        ln_effective : (B, n); nan where a model has no score, or where a version's reference does not rise with size.
        per_benchmark : (B, n, benchmarks); with aggregate "score" the last axis has length 0.
        curves : of the first version.
        """
        return self._by_score(logits) if self.aggregate == "score" else self._by_benchmark(logits)

    def _by_benchmark(self, logits: NDArray) -> tuple[NDArray, NDArray, ReferenceCurves]:
        slope, intercept, growth = (np.empty((len(logits), len(self.benchmarks))) for _ in range(3))
        for column, name in enumerate(self.benchmarks):
            slope[:, column], intercept[:, column], growth[:, column] = self._fit(logits[:, :, column], name)
        per_benchmark = (logits - intercept[:, None]) / np.where(slope > 0, slope, np.nan)[:, None]
        available = np.isfinite(self.logits)
        count = np.maximum(available.sum(axis=1), 1)
        mean = np.where(available, per_benchmark, 0.0).sum(axis=2) / count
        mean = np.where(available.any(axis=1), mean, np.nan)
        return mean, per_benchmark, self._curves(self.benchmarks, slope, intercept, growth)

    def _by_score(self, logits: NDArray) -> tuple[NDArray, NDArray, ReferenceCurves]:
        available = np.isfinite(self.logits)
        rescaled = 1 / (1 + np.exp(-logits))
        result = np.full(logits.shape[:2], np.nan)
        whole = None
        # models that carry the same benchmarks share one curve of their average
        for pattern in np.unique(available, axis=0)[::-1]:
            rows = (available == pattern).all(axis=1)
            if not pattern.any():
                continue
            average = rescaled[:, :, pattern].mean(axis=2)
            names = [name for name, used in zip(self.benchmarks, pattern, strict=True) if used]
            odds = np.log(average) - np.log1p(-average)
            slope, intercept, growth = self._fit(odds, " + ".join(names))
            rising = np.where(slope > 0, slope, np.nan)[:, None]
            result[:, rows] = ((odds - intercept[:, None]) / rising)[:, rows]
            if pattern.all() or whole is None:
                whole = self._curves([" + ".join(names)], slope[:, None], intercept[:, None], growth[:, None])
        return result, np.empty((*logits.shape[:2], 0)), whole

    def _fit(self, odds: NDArray, name: str) -> tuple[NDArray, NDArray, NDArray]:
        """Slope, intercept and growth of one benchmark, for each version of its log odds (B, n)."""
        frame = self.frame
        carried = np.isfinite(odds[0])
        ln_size = np.log(frame["params_total"].to_numpy(float))
        day = ((frame["release_date"] - ORIGIN) / pd.Timedelta(days=1)).to_numpy()
        if self.reference == "joint":
            rows, columns = carried & self.studied, [ln_size, day]
        else:
            rows, columns = carried & self.ruler & (frame["is_moe"] == 0).to_numpy(), [ln_size]
            n_sizes = len(np.unique(ln_size[rows]))
            if n_sizes < 3:
                raise InputError(
                    f"reference = {self.reference!r}: has {n_sizes} dense sizes with a score of {name}; "
                    "needs at least 3"
                )
        design = np.column_stack([np.ones(rows.sum())] + [column[rows] for column in columns])
        scale = np.maximum(np.abs(design).max(axis=0), 1.0)
        if len(design) < design.shape[1] or np.linalg.matrix_rank(design / scale, tol=1e-9) < design.shape[1]:
            raise InputError(
                f"reference = {self.reference!r}: {name} needs models of several sizes and dates"
            )
        coefficients = odds[:, rows] @ np.linalg.pinv(design / scale).T / scale
        slope = coefficients[:, 1]
        if not (slope > 0).any():
            raise InputError(
                f"reference = {self.reference!r}: {name} does not improve with size in this family "
                f"(slope {slope[0]:.3g} per ln N)"
            )
        growth = np.full(len(odds), np.nan)
        if self.reference == "joint":
            growth = coefficients[:, 2] / slope
        return slope, coefficients[:, 0], growth

    def _curves(self, names, slope, intercept, growth) -> ReferenceCurves:
        parts = [dict(zip(names, part[0].tolist(), strict=True)) for part in (slope, intercept, growth)]
        return ReferenceCurves(
            self.reference, parts[0], parts[1], parts[2] if self.reference == "joint" else {}
        )


def score_columns(models: pd.DataFrame) -> list[str]:
    """Numeric columns of a table that are neither size, date nor flag: its scores."""
    return [
        name
        for name in models.columns
        if name not in _IDENTITY
        and pd.api.types.is_numeric_dtype(models[name])
        and models[name].notna().any()
    ]


def check_scores(models: pd.Series, benchmarks: Sequence[str], scores: NDArray) -> None:
    """Refuse scores outside [0, 1]; names the benchmark and the model, and suggests dividing by 100."""
    outside = (scores < 0) | (scores > 1)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        hint = "; divide by 100 if it is in percent" if scores[row, column] > 1 else ""
        raise InputError(
            f"{benchmarks[column]} = {scores[row, column]:g} for {models.iloc[row]!r}: "
            f"a score must be in [0, 1]{hint}"
        )
