"""The published runs as the chapter reads them."""

import numpy as np
import pandas as pd
import pytest

from densing.data import load_published
from densing.errors import ExternalDataMissing, InputError
from densing.fitters import OverTraining
from densing.lab import (
    ERROR_LAWS,
    TASKS_17,
    error_law,
    error_law_fits,
    neighbouring_designs,
    other_loss_fits,
    over_trained_runs,
)


@pytest.fixture(scope="module")
def table():
    try:
        return load_published("gadre_runs")
    except ExternalDataMissing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def runs(table):
    return over_trained_runs(table)


def test_roles(runs):
    counts = runs.groupby(["training_set", "role"]).size().unstack()
    assert (counts[["five", "sixth", "target"]] == [5, 1, 2]).all(axis=None)
    assert counts["other"].to_dict() == {"c4": 26, "redpajama": 27, "refinedweb": 27}
    targets = runs[runs["role"] == "target"]
    assert sorted(targets["planned_multiplier"]) == [20, 20, 20, 80, 320, 640]
    np.testing.assert_allclose(runs["flops"], 6 * runs["params"] * runs["tokens"])


def test_published_digits_through_the_reader(runs):
    one = runs[runs["training_set"] == "redpajama"]
    fit = OverTraining(
        one, error="error", fit_rows="role == 'five'", error_rows="role in ['five', 'sixth']"
    ).fit(bootstrap=0)
    targets = one[one["role"] == "target"].sort_values("params")
    found = fit.predict(targets["params"], targets["tokens"])[["loss", "error"]].to_numpy()
    percent = 100 * np.abs(found / targets[["loss", "error"]].to_numpy() - 1)
    np.testing.assert_allclose(percent, [[0.7103, 3.6365], [0.7321, 0.0464]], atol=5e-5)
    assert other_loss_fits(one).iloc[0][["over_trained", "large"]].to_numpy(float) == pytest.approx(
        [0.7103, 0.7321], abs=1e-4
    )
    designs = neighbouring_designs(one).set_index(["main", "extra"])["error"]
    assert designs[20, 320] == pytest.approx(0.7321, abs=1e-3) and len(designs) == 56
    laws = error_law_fits(one, pd.Series(found[:, 0], index=targets.index)).set_index("law")
    assert list(laws.index) == list(ERROR_LAWS)
    assert laws.loc["exponential decay", ["over_trained", "large"]].to_numpy(float) == pytest.approx(
        [3.6365, 0.0464], abs=1e-3
    )
    assert laws.loc["constant", "inside"] > 5 * laws.loc["exponential decay", "inside"]


def test_sizes_without_embeddings(table, runs):
    without = over_trained_runs(table, exclude_embeddings=True)
    assert (without["params"] < runs["params"]).all() and (without["role"] == runs["role"]).all()
    assert (without["multiplier"] > without["planned_multiplier"]).all()


def test_refusals(table):
    with pytest.raises(InputError, match="close: hellaswag"):
        over_trained_runs(table, tasks=["hellaswagg"])
    with pytest.raises(InputError, match="at least one task"):
        over_trained_runs(table, tasks=[])
    with pytest.raises(InputError, match="missing column 'loss_c5'"):
        over_trained_runs(table, loss="loss_c5")
    with pytest.raises(InputError, match="two targets"):
        other_loss_fits(over_trained_runs(table))
    assert len(TASKS_17) == 17


@pytest.mark.parametrize("name", ERROR_LAWS)
def test_error_laws_recover_their_own_kind(name):
    loss = np.linspace(2.5, 5.5, 6)
    shapes = {
        "exponential decay": 0.86 - 2.2 * np.exp(-0.7 * loss),
        "logistic": 0.9 / (1 + np.exp(-1.2 * (loss - 2.4))),
        "straight line": 0.2 + 0.1 * loss,
        "isotonic": np.sort(np.tanh(loss)),
        "constant": np.full(6, 0.5),
    }
    frame = pd.DataFrame({"loss": loss, "error": shapes[name]})
    np.testing.assert_allclose(error_law(name, frame)(loss), shapes[name], rtol=1e-5)
    with pytest.raises(InputError, match="one of"):
        error_law("spline", frame)
