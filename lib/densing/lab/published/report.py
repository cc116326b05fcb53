"""Do a reader's models support exponential growth of density? Numbers, and one paragraph that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.fitters.trends.chance import RecordTest, record_test
from densing.fitters.trends.curvature import curvature
from densing.fitters.trends.fit import TrendResults, fit_trend
from densing.fitters.trends.permutation import release_labels
from densing.lab.published.curves import REFERENCES, score_columns
from densing.lab.published.density import published_density
from densing.lab.published.specifications import ESTIMATORS

_SIZES_NEEDED = 3
_OWN_FAMILIES = 2


@dataclass(frozen=True)
class GrowthReport:
    """Made by `growth_report`.

    Attributes
    ----------
    densities : by reference, the table of `published_density`; the first reference is the one the verdict uses.
    trends : by (reference, estimator), a `TrendResults`; estimators without enough records are absent.
    records : number of records against chance, first reference.
    bend : change of the slope per year and year, first reference; None with fewer than four dates.
    unusable : references that could not be used, with the reason.
    supported : "yes", "in part" or "no".
    verdict : the paragraph.
    """

    densities: dict[str, pd.DataFrame]
    trends: dict[tuple[str, str], TrendResults]
    records: RecordTest
    bend: Estimate | None
    unusable: dict[str, str]
    supported: str = field(init=False)
    verdict: str = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "supported", self._supported())
        object.__setattr__(self, "verdict", self._verdict())

    @property
    def reference(self) -> str:
        """The reference that the verdict uses."""
        return next(iter(self.densities))

    def ranking(self) -> pd.DataFrame:
        """Models by density under the first reference, densest first, formatted for a page."""
        frame = self.densities[self.reference].sort_values("density", ascending=False, ignore_index=True)
        return pd.DataFrame(
            {
                "model": frame["model"],
                "family": frame["family"],
                "released": frame["release_date"].dt.strftime("%Y-%m-%d"),
                "N (10⁹)": (frame["parameters"] / 1e9).map("{:.3g}".format),
                "scores": frame["n_benchmarks"],
                "density": frame["density"].map("{:.3g}".format),
            }
        )

    def doubling_table(self) -> pd.DataFrame:
        """Doubling times in months with intervals, one row a reference, formatted for a page."""
        rows = []
        for name in self.densities:
            found = [self.trends.get((name, estimator)) for estimator in ESTIMATORS]
            rows.append(
                [name, *("too few records" if trend is None else f"{trend.doubling:.1f}" for trend in found)]
            )
        return pd.DataFrame(rows, columns=["reference", *ESTIMATORS])

    def _p(self, estimator: str) -> float:
        trend = self.trends.get((self.reference, estimator))
        return np.nan if trend is None else trend.permutation_p

    def _supported(self) -> str:
        ols, upper = self._p("ols"), self._p("quantile 0.9")
        if ols < 0.01 and upper < 0.01:
            return "yes"
        return "in part" if ols < 0.01 else "no"

    def _verdict(self) -> str:
        frame = self.densities[self.reference]
        releases = release_labels(frame["day"], frame["family"]).max() + 1
        ols = self.trends[self.reference, "ols"]
        opening = {
            "yes": "These models support growth of density with time",
            "in part": "These models support growth of the average density with time, not of the densest models",
            "no": "These models do not support growth of density with time",
        }[self.supported]
        parts = [
            f"{opening}: {len(frame)} models in {releases} releases, reference {self.reference}, permutation "
            f"p = {_p_text(ols)} for the mean trend and {_p_text(self.trends[self.reference, 'quantile 0.9'])} for the "
            "0.9 quantile."
        ]
        months = [
            t for (_, name), t in self.trends.items() if name == "ols" and np.isfinite(t.doubling_months)
        ]
        if self.supported != "no" and months:
            parts.append(
                f"Density doubles in {ols.doubling:.1f} months on average (95 % interval); over the references the "
                f"mean trend gives {min(t.doubling_months for t in months):.1f} to "
                f"{max(t.doubling_months for t in months):.1f} months."
            )
        if self.bend is not None:
            if self.bend.lower > 0:
                shape = "speeds up: faster than exponential"
            elif self.bend.upper < 0:
                shape = "slows down: slower than exponential"
            else:
                shape = "shows no bend, so a straight line in the logarithm is not contradicted"
            parts.append(f"The trend {shape} (change of slope {self.bend:.1f} per year and year).")
        frontier = self.trends.get((self.reference, "frontier"))
        if frontier is None:
            parts.append("There are too few records for a line through them.")
        else:
            parts.append(
                f"The line through the records doubles in {frontier.doubling_months:.1f} months, which by itself says "
                f"little: p = {_p_text(frontier)} against shuffled dates."
            )
        parts.append(
            f"There are {self.records.observed} records where shuffled releases give "
            f"{self.records.expected_releases:.1f} on average (p = {self.records.permutation_p:.2g})."
        )
        if releases < 10:
            parts.append(f"With {releases} releases even a real trend can be missed.")
        return " ".join(parts)


def growth_report(
    models: pd.DataFrame,
    references: Sequence[str] | None = None,
    *,
    book_models: pd.DataFrame | None = None,
    parameters: str = "total",
    min_benchmarks: int = 4,
    draws: int = 2000,
    permutations: int = 10_000,
    seed: int = 0,
) -> GrowthReport:
    """Densities and trends of a table of models under every reference that fits it.

    The rule of the verdict: permutation p below 0.01 for the least-squares and the 0.9-quantile slope, "yes"; for the
    first only, "in part"; otherwise "no".

    Parameters
    ----------
    models : as `read_models_table` returns it.
    references : families, or "joint"; by default the book's, the two families of `models` with the most dense sizes
        (three at least), and "joint". Each is used with the benchmarks that it carries on three sizes.
    book_models : table that holds the book's reference families.
    min_benchmarks : models need this many scores, or all where there are fewer.

    Raises
    ------
    InputError : no reference can be used; gives the reason for each.
    """
    scores = score_columns(models)
    book = [] if book_models is None else [name for name in REFERENCES if name in set(book_models["family"])]
    if references is None:
        sizes = models[models["is_moe"] == 0].groupby("family")["params_total"].nunique()
        own = [
            name
            for name in sizes.sort_values(ascending=False, kind="stable").index
            if _carried(models, name, scores)
        ]
        own = own[:_OWN_FAMILIES]
        references = [*dict.fromkeys([*book, *own, "joint"])]
    densities, trends, unusable = {}, {}, {}
    for reference in references:
        home = book_models if reference in book else models
        names = scores if reference == "joint" else _carried(home, reference, scores)
        try:
            if not names:
                raise InputError(
                    f"reference = {reference!r}: has no three dense sizes with one of {', '.join(scores)}"
                )
            frame = published_density(
                models,
                reference,
                names,
                parameters,
                min(min_benchmarks, len(names)),
                reference_models=None if home is models else home,
            )
            found = {name: _trend(frame, name, draws, permutations, seed) for name in ESTIMATORS}
            if found["ols"] is None or found["quantile 0.9"] is None:
                raise InputError(f"reference = {reference!r}: leaves {len(frame)} models or a single date")
        except InputError as error:
            unusable[reference] = str(error)
            continue
        densities[reference] = frame
        trends |= {(reference, name): trend for name, trend in found.items() if trend is not None}
    if not densities:
        raise InputError("models: no reference can be used. " + "; ".join(unusable.values()))
    frame = densities[next(iter(densities))]
    data = frame["day"], frame["ln_density"], frame["family"]
    records = record_test(*data, permutations=permutations, seed=seed)
    bend = curvature(*data, draws=draws, seed=seed) if frame["day"].nunique() >= 4 else None
    return GrowthReport(densities, trends, records, bend, unusable)


def _carried(models: pd.DataFrame, family: str, scores: Sequence[str]) -> list[str]:
    dense = models[(models["family"] == family) & (models["is_moe"] == 0)]
    return [
        name
        for name in scores
        if name in dense and dense.loc[dense[name].notna(), "params_total"].nunique() >= _SIZES_NEEDED
    ]


def _trend(
    frame: pd.DataFrame, estimator: str, draws: int, permutations: int, seed: int
) -> TrendResults | None:
    try:
        return fit_trend(
            frame["day"], frame["ln_density"], groups=frame["family"], draws=draws, permutations=permutations,
            seed=seed, **ESTIMATORS[estimator],
        )  # fmt: skip
    except InputError:
        return None


def _p_text(trend: TrendResults) -> str:
    return f"{trend.permutation_p:.2g}"
