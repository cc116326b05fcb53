import numpy as np
import pandas as pd
import pytest

from densing.data import load_published, validate_table
from densing.errors import InputError

CORE5 = ["mmlu", "bbh", "math", "humaneval", "mbpp"]


@pytest.fixture(scope="module")
def models() -> pd.DataFrame:
    return load_published("densing_models")


def test_the_table_is_whole(models):
    assert len(models) == 118 and (models["n_benchmarks_core5"] >= 4).sum() == 84
    assert models["release_date"].agg(["min", "max"]).dt.date.astype(str).tolist() == [
        "2023-02-24",
        "2025-04-29",
    ]
    assert (models["date_recalled"].sum(), models["size_recalled"].sum()) == (29, 18)


def test_every_source_is_explained_and_every_explanation_used(models):
    known = set(load_published("densing_sources")["source_id"])
    used = {value for name in models if name.endswith("_source") for value in models[name].dropna()}
    assert used <= known
    # llama4's and others' cards serve several columns; none may be left over
    assert known - used == set()


def test_some_values_against_their_documents(models):
    row = models.set_index("model").loc["llama-1-13b"]
    assert (row["mmlu"], row["bbh"], row["params_total"]) == (0.469, 0.37, 13e9)
    assert models.set_index("model").loc["llama-3-70b", "mmlu_source"] == "llama3_card"


def broken(models, **changes):
    frame = models.copy()
    for name, value in changes.items():
        whole = frame[name].tolist()
        frame[name] = [value, *whole[1:]]
    return frame


@pytest.mark.parametrize(
    "change, named",
    [
        ({"mmlu": 46.9}, "mmlu"),
        ({"bbh": -0.1}, "bbh"),
        ({"params_total": -1}, "params_total"),
        ({"params_active": 10**12}, "active parameters exceed"),
        ({"params_active": 10**9}, "dense model"),
        ({"release_date": "soon"}, "release_date"),
        ({"release_date_precision": "year"}, "release_date_precision"),
        ({"release_date_precision": "month"}, "15th"),
        ({"model": "pythia-12b"}, "model"),
        ({"n_benchmarks_core5": 3}, "number of core scores"),
        ({"mmlu_source": np.nan}, "mmlu score needs its source"),
        ({"math": np.nan}, "number of core scores|math score needs"),
        ({"date_recalled": 1}, "date_recalled"),
        ({"doubtful_scores": "mmlu_pro"}, "doubtful_scores"),
    ],
)
def test_the_schema_refuses(models, change, named):
    raw = models.assign(release_date=models["release_date"].dt.strftime("%Y-%m-%d"))
    validate_table("densing_models", raw)
    with pytest.raises(InputError, match=named):
        validate_table("densing_models", broken(raw, **change))
