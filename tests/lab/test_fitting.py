"""The fitter's own studies: same index, same numbers; what the tables and charts take and show."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from densing import laws
from densing.errors import ExternalDataMissing, InputError
from densing.lab import (
    chinchilla_runs,
    constants_table,
    coverage_chart,
    coverage_specs,
    coverage_table,
    error_chart,
    exponents_chart,
    load_runs,
    rerun_sample,
    speed_specs,
    speed_table,
    trace_chart,
    trace_specs,
)
from densing.lab.fitting.coverage import QUANTITIES, fit_truth, simulate, true_values
from densing.lab.fitting.speed import time_round, trace_objective

matplotlib.use("Agg")


@pytest.fixture(scope="module")
def runs():
    rng = np.random.default_rng(0)
    size, tokens = np.exp(rng.uniform(17.5, 23.5, 120)), np.exp(rng.uniform(21, 26, 120))
    loss = laws.chinchilla(size, tokens, E=1.8, A=480, B=2100, alpha=0.35, beta=0.37) * np.exp(
        0.006 * rng.standard_t(4, 120)
    )
    return pd.DataFrame({"params": size, "tokens": tokens, "flops": 6 * size * tokens, "loss_nats": loss})


@pytest.fixture(scope="module")
def table():
    try:
        return chinchilla_runs()
    except ExternalDataMissing as missing:
        pytest.skip(str(missing))


def test_a_simulated_data_set_is_its_number(runs):
    truth = fit_truth(runs)
    first = simulate(truth, runs, 3, resamples=60)
    assert simulate(truth, runs, 3, resamples=60) == first
    assert simulate(truth, runs, 4, resamples=60)["alpha"] != first["alpha"]
    known = true_values(truth, runs)
    for q in QUANTITIES:
        assert abs(first[q] / known[q] - 1) < 0.6
        for method in ("percentile", "bca", "wald"):
            assert first[f"{q}_{method}_lower"] < first[q] < first[f"{q}_{method}_upper"]


def test_simulated_residuals_leave_the_truth_in_place(runs):
    """The residuals that are drawn have zero mean psi, so the fitted curve is the truth of the robust fit."""
    residuals = fit_truth(runs).resid
    assert abs(np.clip(residuals, -1e-3, 1e-3).mean()) < 1e-8


def test_coverage_counts_what_is_inside():
    rows = {}
    for q in QUANTITIES:
        rows |= {f"{q}_true": [1.0] * 4}
        for method, upper in (("percentile", [2, 2, 2, 0.5]), ("bca", [2] * 4), ("wald", [0.5] * 4)):
            rows |= {f"{q}_{method}_lower": [0.0] * 4, f"{q}_{method}_upper": upper}
    found = coverage_table(pd.DataFrame(rows))
    assert (found["percentile"] == 0.75).all() and (found["bca"] == 1).all() and (found["wald"] == 0).all()
    coverage_chart(found, 4)


def test_plans():
    assert len(speed_specs()) == 6 and len({spec.digest for spec in speed_specs()}) == 6
    assert sum(spec.work for spec in coverage_specs(data_sets=400)) == 400
    assert {spec.config["method"] for spec in trace_specs()} == {"numeric", "analytic", "batched"}
    for call, message in (
        (lambda: speed_specs(share=0), "share = 0"),
        (lambda: coverage_specs(data_sets=1), "data_sets = 1"),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_recorded_rows_are_complete():
    speed = load_runs("fitter_speed")
    assert set(speed["digest"]) == {spec.digest for spec in speed_specs()}
    assert (speed["ratio_wall"] > 1).all() and set(speed_table(speed)["Method"]) >= {"this library"}
    study = load_runs("fitter_coverage")
    assert sorted(study["row"]) == list(range(400)) and set(study["digest"]) == {
        s.digest for s in coverage_specs()
    }
    trace = load_runs("fitter_trace")
    assert set(trace["digest"]) == {spec.digest for spec in trace_specs()}
    assert len(trace_chart(trace).axes[0].lines) == 6


@pytest.mark.slow
def test_a_recorded_run_gives_the_same_numbers(table):
    again = rerun_sample(coverage_specs(), 1, seed=11)
    np.testing.assert_allclose(again["rerun"], again["recorded"], rtol=1e-4)


@pytest.mark.slow
def test_a_round_measures_both_methods(table):
    row = time_round({"gradients": "analytic", "seed": 0, "share": 0.01, "compared": 5, "resamples": 1000})[0]
    assert row["starts_timed"] == 45 and row["rows"] == 240
    assert row["worst_excess"] <= 1e-9 and row["ratio_wall"] == pytest.approx(
        row["baseline_wall_s"] / row["ours_wall_s"]
    )
    points = trace_objective({"method": "batched", "starts": 1})
    assert points[-1]["excess"] <= 1e-12 < points[0]["excess"]


def test_charts_and_tables(runs):
    truth = fit_truth(runs)
    shown = constants_table(truth, {"published": truth.params.to_dict()})
    assert list(shown) == ["Parameter", "Estimate", "95 % interval", "published"] and len(shown) == 5
    assert (shown["Estimate"] == shown["published"]).all()
    exponents_chart(np.random.default_rng(0).normal(0.35, 0.01, (50, 2)), (0.35, 0.36), (0.34, 0.28))
    errors = pd.DataFrame(
        [
            {"model": m, "cut": c, "mae_rel": 0.01, "mae_rel_se": 0.001}
            for m in ("chinchilla", "power")
            for c in (1e20, 1e21)
        ]
    )
    error_chart(errors)
    matplotlib.pyplot.close("all")
