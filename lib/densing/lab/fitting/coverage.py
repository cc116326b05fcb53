"""Whether the fitter's intervals contain the truth as often as they say, on simulated Chinchilla runs.

``python -m densing.lab.fitting.coverage`` records ``data/runs/fitter_coverage.csv``.
"""

import argparse

import numpy as np
import pandas as pd

from densing.checks import check_range
from densing.fitters.scaling.estimator import ScalingLaw
from densing.fitters.scaling.results import ScalingLawResults
from densing.lab.fitting.speed import COLUMNS, chinchilla_runs
from densing.lab.runs import RunSpec
from densing.lab.sweeps import run_sweep

QUANTITIES = ("A", "B", "E", "alpha", "beta", "prediction")
METHODS = ("percentile", "bca", "wald")
LEVEL = 0.95
_TOGETHER = 5  # data sets of one recorded run
_BEYOND = 10.0  # the predicted run's compute over the largest in the data


def fit_truth(runs: pd.DataFrame) -> ScalingLawResults:
    """The fit whose curve and residuals the simulated data sets are drawn from."""
    return ScalingLaw("chinchilla", runs, columns=COLUMNS).fit(bootstrap=0)


def true_values(truth: ScalingLawResults, runs: pd.DataFrame) -> dict[str, float]:
    """The five parameters, and the loss of the compute-optimal run at ten times the largest compute."""
    return truth.params.to_dict() | {"prediction": float(truth.predict(_target(truth, runs))[0])}


def simulate(
    truth: ScalingLawResults, runs: pd.DataFrame, index: int, *, resamples: int = 200
) -> dict[str, float]:
    """Estimates and 95 % intervals from simulated data set number `index`; the same index gives the same numbers.

    Losses are the true curve at the real sizes and tokens times the exponential of real residuals drawn at random. The
    fitted residuals have zero mean psi, so the curve stays the truth of the robust fit too.

    Returns
    -------
    For each of `QUANTITIES` the estimate and both ends of the percentile, the BCa and the Wald interval.
    """
    check_range("index", index, 0, integer=True)
    rng = np.random.default_rng([20_240, index])
    data = runs[[COLUMNS["N"], COLUMNS["D"]]].copy()
    noise = truth.resid[rng.integers(0, len(truth.resid), len(data))]
    data[COLUMNS["y"]] = truth.fittedvalues * np.exp(noise)
    fit = ScalingLaw("chinchilla", data, columns=COLUMNS).fit(bootstrap=resamples, seed=index)
    point = _target(truth, runs)
    row: dict[str, float] = {}
    for method, name in zip(("bootstrap", "bca", "wald"), METHODS, strict=True):
        ends = fit.conf_int(LEVEL, method)
        prediction = fit.get_prediction(point, method)
        curve = prediction.conf_int(LEVEL)[0]
        for q in QUANTITIES:
            value = prediction.predicted_mean[0] if q == "prediction" else fit.params[q]
            lower, upper = curve if q == "prediction" else ends.loc[q]
            row |= {q: value, f"{q}_{name}_lower": lower, f"{q}_{name}_upper": upper}
    return row


def coverage_specs(*, data_sets: int = 400, resamples: int = 200) -> list[RunSpec]:
    """The study as a sweep, a few data sets a run."""
    check_range("data_sets", data_sets, _TOGETHER, 100_000, integer=True)
    return [
        RunSpec(
            "fitter_coverage",
            "densing.lab.fitting.coverage:run_data_sets",
            {"first": first, "count": min(_TOGETHER, data_sets - first), "resamples": resamples},
            work=min(_TOGETHER, data_sets - first),
        )
        for first in range(0, data_sets, _TOGETHER)
    ]


def run_data_sets(config: dict) -> list[dict]:
    """Rows of `simulate`, with the true values beside the estimates."""
    runs = chinchilla_runs()
    truth = fit_truth(runs)
    known = {f"{q}_true": _short(v) for q, v in true_values(truth, runs).items()}
    rows = []
    for index in range(config["first"], config["first"] + config["count"]):
        found = simulate(truth, runs, index, resamples=config["resamples"])
        rows.append({"row": index} | known | {name: _short(value) for name, value in found.items()})
    return rows


def _short(value: float) -> float:
    return float(f"{value:.8g}")


def coverage_table(study: pd.DataFrame) -> pd.DataFrame:
    """Share of data sets whose interval contains the truth: a row a quantity, a column a method; its standard error."""
    table = pd.DataFrame(index=list(QUANTITIES))
    for method in METHODS:
        table[method] = [
            (
                (study[f"{q}_{method}_lower"] <= study[f"{q}_true"])
                & (study[f"{q}_{method}_upper"] >= study[f"{q}_true"])
            ).mean()
            for q in QUANTITIES
        ]
    table["standard_error"] = np.sqrt(LEVEL * (1 - LEVEL) / len(study))
    return table


def _target(truth: ScalingLawResults, runs: pd.DataFrame) -> dict[str, float]:
    flops = _BEYOND * float(runs["flops"].max())
    best = truth.law.allocate(truth.params.to_numpy()[None], np.array([flops]))
    return {name: float(value[0, 0]) for name, value in best.items()}


def main(arguments: list[str] | None = None) -> None:
    """Simulate and record the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-sets", type=int, default=400)
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    specs = coverage_specs(data_sets=given.data_sets, resamples=given.resamples)
    print(coverage_table(run_sweep(specs, processes=given.processes)))


if __name__ == "__main__":
    main()
