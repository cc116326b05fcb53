"""The over-training law on a planted family."""

import numpy as np
import pandas as pd
import pytest

from densing.errors import InputError
from densing.lab import (
    ERROR_LAWS,
    fit_members,
    fitted_members,
    forecast_members,
    interaction_text,
    member_error_laws,
    member_interaction,
    member_tasks,
    members_chart,
    members_summary,
    members_table,
)

SIZES = {
    "d0.01M": 13_944, "d0.05M": 55_536, "d0.1M": 111_024, "d0.2M": 201_280, "d0.4M": 443_232, "d0.9M": 915_376,
}  # fmt: skip


def family(noise=0.003, exponent=0.35, other=0.35, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for size, n in SIZES.items():
        for run in range(3):
            for tokens in (500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000):
                loss = 1.2 + 12 * n**-exponent + 60 * tokens**-other
                rows.append((size, run, n, tokens, loss * np.exp(noise * rng.standard_normal())))
    return pd.DataFrame(rows, columns=["size", "seed", "n_parameters", "tokens", "bits_per_byte_val_b"])


def with_tasks(runs):
    """Two tasks whose mean error follows the loss, and one at chance at every fitted member but not beyond."""
    error = 0.75 - 0.9 * np.exp(-0.6 * runs["bits_per_byte_val_b"])
    late = np.where(fitted_members(runs), 0.27, 0.9)
    return runs.assign(
        a_score=1.05 - error, a_accuracy_byte=0.5, b_score=0.95 - error, b_accuracy_byte=0.5,
        late_score=late, late_accuracy_byte=0.5, made_score=0.9,
    )  # fmt: skip


def test_planted_law_is_forecast():
    runs = family()
    found = forecast_members(runs, fit_members(runs, bootstrap=100))
    assert found["multiplier"].round().tolist() == [287, 574, 18, 9]
    assert found["loss_pct"].max() < 1
    assert found["loss_inside"].sum() >= 3
    assert (found["seeds"] == 3).all() and "error" not in found
    summary = members_summary(found)
    assert summary["largest_error_pct"] == found["loss_pct"].max()
    assert summary["cells_in_prediction_interval"] == found["loss_inside"].sum()


def test_permuted_losses_are_not_forecast():
    runs = family()
    runs["bits_per_byte_val_b"] = np.random.default_rng(1).permutation(runs["bits_per_byte_val_b"])
    assert forecast_members(runs, fit_members(runs, bootstrap=50))["loss_pct"].max() > 5


def test_members_to_predict_choose_no_task():
    runs = with_tasks(family())
    assert member_tasks(runs) == ["a", "b"], (
        "not the one that only larger members can do, nor one without choices"
    )


def test_planted_errors_are_forecast_through_the_loss():
    runs = with_tasks(family(noise=5e-4))
    tasks = member_tasks(runs)
    fit = fit_members(runs, tasks, bootstrap=60)
    found = forecast_members(runs, fit, tasks)
    # both tasks together err as planted
    planted = 0.75 - 0.9 * np.exp(-0.6 * found["loss"])
    np.testing.assert_allclose(found["error"], planted, atol=2e-3)
    assert found["error_pct"].max() < 0.5
    laws = member_error_laws(runs, found, tasks)
    assert list(laws.index) == list(ERROR_LAWS) and list(laws)[0] == "d0.01M, 4M"
    assert laws.loc["exponential decay"].abs().max() < 0.5 < laws.loc["constant"].abs().max()
    shuffled = runs.assign(a_score=np.random.default_rng(2).permutation(runs["a_score"]))
    assert member_error_laws(shuffled, found, tasks).loc["exponential decay"].abs().max() > 1
    table = members_table(found, laws)
    assert table["member"].tolist() == list(laws)
    assert table["off by, %"].astype(float).to_numpy() == pytest.approx(
        found["loss_pct"].to_numpy(), abs=5e-3
    )
    chart = members_chart(runs, found, fit).axes[0]
    assert {text.get_text() for text in chart.texts} == set(SIZES)
    rings = [line.get_ydata()[0] for line in chart.lines if line.get_markerfacecolor() == "white"]
    assert rings == pytest.approx(found["loss"].tolist())


def test_equal_exponents_are_parallel_and_unequal_ones_are_not():
    parallel = member_interaction(family(noise=1e-4), bootstrap=60).interaction
    assert abs(parallel.value) < 0.01
    bent = member_interaction(family(noise=1e-4, exponent=0.6, other=0.15), bootstrap=60).interaction
    assert abs(bent.value) > abs(parallel.value)
    assert f"{parallel.value:+.4f}" in interaction_text(parallel)


def test_hardly_trained_runs_take_no_part_unless_asked_for():
    runs = family(noise=1e-4)
    early = runs["tokens"] < 2 * runs["n_parameters"]
    assert early.any()
    spoilt = runs.assign(bits_per_byte_val_b=runs["bits_per_byte_val_b"].where(~early, 9.0))
    kept, moved = (member_interaction(frame, bootstrap=50).interaction.value for frame in (runs, spoilt))
    assert kept == moved
    assert member_interaction(spoilt, least_multiplier=0, bootstrap=50).interaction.value != kept


def test_a_family_without_a_target_is_refused():
    runs = family()
    lacking = runs[~((runs["size"] == "d0.9M") & (runs["tokens"] == 8_000_000))]
    with pytest.raises(InputError, match=r"d0\.9M at 8M tokens"):
        forecast_members(lacking, fit_members(lacking, bootstrap=50))
