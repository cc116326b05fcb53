"""Calibration of the yardstick: held-out members, resolution, coverage on simulated families, held-out cells."""

import math

import numpy as np
import pytest

from densing.errors import InputError
from densing.lab import (
    PLANNED_LAW,
    Noise,
    calibrate_family,
    density_coverage_specs,
    density_coverage_table,
    family_plan,
    fit_reference,
    held_out_cells,
    held_out_errors,
    leave_one_run_out,
    leave_one_size_out,
    load_runs,
    rerun_sample,
    resolution,
    simulate_family,
)
from densing.lab.yardstick.coverage import STUDY_NOISE, run_families
from densing.lab.yardstick.rows import METRIC

SILENT = Noise(0.0, 0.0, 0.0, 0.0)
NOISE = Noise(**STUDY_NOISE)


@pytest.fixture(scope="module")
def family():
    return simulate_family(PLANNED_LAW, NOISE, seed=11)


def test_the_planned_family_has_its_101_branches():
    plan = family_plan()
    assert len(plan) == 101 and plan["seed"].nunique() == 3
    largest = plan[(plan["tokens"] == 8_000_000) & plan["size"].isin(["d0.9M", "d2M"])]
    assert (largest["seed"] == 0).all() and len(largest) == 2


def test_simulated_families_follow_their_law_and_seed(family):
    again = simulate_family(PLANNED_LAW, NOISE, seed=11)
    assert (again[METRIC] == family[METRIC]).all()
    assert (simulate_family(PLANNED_LAW, NOISE, seed=12)[METRIC] != family[METRIC]).all()
    silent = simulate_family(PLANNED_LAW, SILENT)[METRIC]
    spread = np.log(family[METRIC] / silent)
    assert 0.003 < spread.std() < 0.012


def test_without_noise_every_held_out_size_has_density_one():
    table = leave_one_size_out(simulate_family(PLANNED_LAW, SILENT), draws=100)
    assert table["rho"].to_numpy() == pytest.approx(np.ones(7), rel=1e-4)


def test_held_out_sizes_and_runs_are_told_with_their_intervals(family):
    sizes = leave_one_size_out(family, draws=200)
    assert list(sizes["held_out"]) == ["d0.01M", "d0.05M", "d0.1M", "d0.2M", "d0.4M", "d0.9M", "d2M"]
    assert list(sizes["end"]) == [True] + 5 * [False] + [True]
    assert (sizes["covers"] == ((sizes["rho_lower"] <= 1) & (sizes["rho_upper"] >= 1))).all()
    assert sizes["half_width"].iloc[0] > 1.5 * sizes["half_width"].iloc[3], "an end is extrapolated"
    few = family[family["size"].isin(["d0.05M", "d0.1M", "d0.2M", "d0.4M", "d0.9M"])]
    runs = leave_one_run_out(few, draws=200)
    assert len(runs) == 15 and runs["held_out"].iloc[1] == "d0.05M, seed 1"


def test_leaving_a_run_out_leaves_it_out(family):
    """A run that is far off has the density its loss asks for; were it in the fit, it would pull the curve."""
    off = family.copy()
    one = (off["size"] == "d0.2M") & (off["seed"] == 1)
    off.loc[one, METRIC] *= 1.05
    kept = fit_reference(family[~one], draws=100)
    table = leave_one_run_out(off[off["tokens"] == 4e6], draws=100).set_index("held_out")
    loss = off.loc[one & (off["tokens"] == 4e6), METRIC].iloc[0]
    e, a, alpha = (kept.curve.params[k] for k in ("E", "A", "alpha"))
    expected = (a / (loss - e)) ** (1 / alpha) / 201_280
    assert table.loc["d0.2M, seed 1", "rho"] == pytest.approx(expected, rel=1e-6)
    assert not table.loc["d0.2M, seed 1", "covers"]


def test_resolution_follows_the_noise_and_the_slope(family):
    quiet = resolution(family, noise=Noise(0.0, 0.003, 0.002, 0.0), draws=400)
    loud = resolution(family, noise=Noise(0.0, 0.009, 0.006, 0.0), draws=400)
    assert (loud["unpaired"] / quiet["unpaired"]).to_numpy() == pytest.approx(np.full(7, 3), rel=0.1)
    assert quiet["slope"].is_monotonic_decreasing and quiet["unpaired"].iloc[6] > quiet["unpaired"].iloc[2]
    ordered = resolution(family, noise=Noise(0.004, 0.003, 0.002, 0.0), draws=400)
    assert (ordered["paired"] < 0.8 * ordered["unpaired"]).all()
    assert ordered["paired"].to_numpy() == pytest.approx(quiet["paired"].to_numpy(), rel=0.1)
    assert resolution(family, n_seeds=5, draws=100)["paired"].isna().all()


@pytest.mark.slow
def test_the_interval_holds_the_truth_as_often_as_it_says():
    """60 families, six variants each: 95 % within what 60 independent families allow; 400 are the recorded study."""
    rows = [calibrate_family(k, NOISE, draws=200, members=False) for k in range(60)]
    names = [f"{s}_{how}" for s in ("d0.05M", "d0.2M", "d0.9M") for how in ("unpaired", "paired")]
    share = np.mean([[row[name] for name in names] for row in rows])
    assert 0.88 <= share <= 0.995, share
    widths = [row["d0.2M_paired_half_width"] for row in rows]
    assert 0.05 < np.median(widths) < 0.25, "not by being wide"


@pytest.mark.slow
def test_an_interval_of_seed_noise_alone_would_not_hold(monkeypatch):
    """Fake-catcher: leave lack of fit and the reference's own scatter out of the draws, and coverage falls."""
    from densing.lab.yardstick import fitted

    monkeypatch.setattr(
        fitted, "_refits", lambda curve, effects, shift=0.0: (effects, np.tile(curve.theta, (200, 1)))
    )
    rows = [calibrate_family(k, NOISE, draws=200, members=False) for k in range(40)]
    assert np.mean([row["d0.9M_paired"] for row in rows]) < 0.85


@pytest.mark.slow
def test_held_out_members_are_covered_in_simulation():
    rows = [calibrate_family(k, NOISE, draws=100) for k in range(4)]
    assert sum(row["cells_held"] for row in rows) >= 92, "of 112; 95 % are 106"
    assert np.median([row["median_half_width"] for row in rows]) < 0.3


def test_the_study_is_a_sweep_of_numbered_families():
    specs = density_coverage_specs(families=12, members=True)
    assert sum(spec.config["count"] for spec in specs) == 12 and len({spec.digest for spec in specs}) == 3
    config = specs[1].config | {"count": 1, "draws": 100}
    (row,) = run_families(config)
    assert row["row"] == 5 and row == run_families(config)[0]
    assert {"cells_held", "runs_held", "median_half_width", "out_d2M"} <= set(row)
    import pandas as pd

    table = density_coverage_table(pd.DataFrame([row, row]))
    assert table.loc["all 28 cells", "share"] == row["cells_held"] / 28
    with pytest.raises(InputError, match="families"):
        density_coverage_specs(families=0)
    with pytest.raises(InputError, match="run"):
        density_coverage_specs(noise=STUDY_NOISE | {"run": -1.0})


def test_the_recorded_study_covers():
    """400 simulated families with all four kinds of noise: every kind of interval holds the truth in 91 to 98 %."""
    study = load_runs("density_coverage")
    assert sorted(study["row"]) == list(range(400))
    assert set(study["digest"]) == {spec.digest for spec in density_coverage_specs()}
    table = density_coverage_table(study)
    assert len(table) == 6 and table["share"].between(0.91, 0.98).all(), table
    assert table["half_width"].between(0.05, 0.2).all(), "not by being wide"


@pytest.mark.slow
def test_a_recorded_family_gives_the_same_numbers():
    again = rerun_sample(density_coverage_specs(), 1, seed=3)
    np.testing.assert_allclose(again["rerun"], again["recorded"], rtol=1e-3)


# the law on held-out cells


def test_the_law_predicts_the_cells_it_has_not_seen():
    cells = held_out_cells(simulate_family(PLANNED_LAW, SILENT))
    assert len(cells) == 11 and cells["corner"].sum() == 1
    assert cells["law"].to_numpy() == pytest.approx(cells["observed"].to_numpy(), rel=1e-6)
    corner = cells[cells["corner"]].iloc[0]
    assert corner["n_parameters"] == 1_860_640 and corner["tokens"] == 8_000_000 and corner["runs"] == 1
    errors = held_out_errors(cells)
    assert errors.loc["law", "all"] < 1e-6 < 1e-3 < errors.loc["without_floor", "all"]
    assert errors.loc["carried_forward", "edges"] > 0.02


def test_the_nearest_fitted_cell_is_carried_forward(family):
    cells = held_out_cells(family)
    means = family.groupby(["n_parameters", "tokens"])[METRIC].mean()
    picked = cells.set_index(["n_parameters", "tokens"])["carried_forward"]
    assert picked[(1_860_640, 1_000_000)] == pytest.approx(means[(915_376, 1_000_000)])
    assert picked[(55_536, 8_000_000)] == pytest.approx(means[(55_536, 4_000_000)])
    assert picked[(1_860_640, 8_000_000)] == pytest.approx(means[(915_376, 4_000_000)])


def test_held_out_cells_do_not_reach_the_fit(family):
    out = (family["n_parameters"] == 1_860_640) | (family["tokens"] == 8_000_000)
    spoiled = family.assign(**{METRIC: family[METRIC].where(~out, 9.0)})
    for name in ("law", "without_floor", "carried_forward"):
        assert (held_out_cells(spoiled)[name] == held_out_cells(family)[name]).all()
    assert math.isclose(held_out_cells(spoiled)["observed"].max(), 9.0)


def test_early_budgets_can_be_left_out(family):
    assert held_out_cells(family, least_tokens=1_000_000)["tokens"].min() == 1_000_000
    early = family["tokens"] == 500_000
    plateau = family.assign(**{METRIC: family[METRIC].where(~early, 1.04 * family[METRIC])})
    assert held_out_cells(plateau)["tokens"].min() == 1_000_000
    assert held_out_cells(family)["tokens"].min() == 500_000
