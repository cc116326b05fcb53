import pandas as pd
import pytest

from densing.errors import InputError
from densing.lab import growth_report, planted_models, published_density, read_models_table

GOOD = pd.DataFrame(
    {
        "model": ["a", "b", "c", "d"],
        "date": ["2024-01-31", "2024-03", "2024-05-01", "2024-06-30"],
        "parameters": [7e9, 2e9, 30e9, 1e9],
        "mmlu": [0.5, 0.45, 0.7, 0.4],
        "notes": ["x", "y", "z", ""],
    }
)


def test_a_good_table(tmp_path):
    path = tmp_path / "mine.csv"
    GOOD.assign(parameters_active=[7e9, 2e9, 8e9, 1e9]).to_csv(path, index=False)
    table = read_models_table(path)
    assert table["release_date_precision"].tolist() == ["day", "month", "day", "day"]
    assert table["release_date"][1] == pd.Timestamp("2024-03-15")
    assert table["is_moe"].tolist() == [0, 0, 1, 0] and table["family"].tolist() == list("abcd")
    assert "notes" not in table and table["mmlu"].tolist() == GOOD["mmlu"].tolist()
    assert len(published_density(table, "joint", ["mmlu"], min_benchmarks=1)) == 4


@pytest.mark.parametrize(
    "change, named",
    [
        (lambda f: f.drop(columns=["date"]), "missing column 'date'"),
        (lambda f: f.drop(columns=["model", "parameters"]), "missing column 'model', 'parameters'"),
        (lambda f: f.assign(mmlu=f["mmlu"] * 100), "mmlu = 50 for 'a'.*divide by 100"),
        (lambda f: f.assign(mmlu=-f["mmlu"]), r"mmlu = -0.5 for 'a'.*\[0, 1\]$"),
        (lambda f: f.assign(date=["2024-01-31", "31/02/2024", "x", "y"]), "date = '31/02/2024' in row 2"),
        (lambda f: f.assign(date=[None, *f["date"][1:]]), "date = None in row 1"),
        (lambda f: f.assign(parameters=[1e9, -2e9, 7e9, 7e9]), "parameters = -2000000000.0 of 'b'"),
        (lambda f: f.assign(parameters=["1e9", "7B", "7e9", "7e9"]), "parameters = 7B of 'b'"),
        (lambda f: f.assign(parameters=[1, 2, 7, 70]), "plain counts"),
        (lambda f: f.head(2), "has 2 rows; a trend needs at least 3"),
        (lambda f: f.assign(model="a"), "model = 'a' in row 2"),
        (lambda f: f.drop(columns=["mmlu"]), "no score column"),
        (lambda f: f.assign(parameters_active=[8e9, 2e9, 7e9, 1e9]), "parameters_active of 'a'"),
    ],
)
def test_one_clear_error_each(change, named):
    with pytest.raises(InputError, match=named):
        read_models_table(change(GOOD))


def test_files_that_are_no_tables(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_models_table(tmp_path / "absent.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(InputError, match="is not a CSV table"):
        read_models_table(tmp_path / "empty.csv")
    with pytest.raises(InputError, match="is not a CSV table"):
        read_models_table(tmp_path)


def test_the_report_finds_planted_growth_and_says_so():
    report = growth_report(read_models_table(planted_models(5.0)), draws=300, permutations=999)
    assert report.supported == "yes" and report.verdict.startswith("These models support growth")
    trend = report.trends[report.reference, "ols"]
    assert trend.lower < 5.0 < trend.upper and trend.doubling_months == pytest.approx(5, rel=0.2)
    assert "14 releases" in report.verdict and "joint" in report.densities
    ranking = report.ranking()
    assert ranking["density"].astype(float).is_monotonic_decreasing and len(ranking) == 42


def test_the_report_finds_none_where_there_is_none():
    reports = [
        growth_report(read_models_table(planted_models(None, seed=seed)), draws=50, permutations=199)
        for seed in range(10)
    ]
    assert sum(r.supported == "no" for r in reports) >= 9
    assert all("do not support" in r.verdict for r in reports if r.supported == "no")


def test_a_table_that_no_reference_fits():
    table = read_models_table(GOOD.assign(date="2024-01-31"))
    with pytest.raises(InputError, match="no reference can be used.*joint"):
        growth_report(table)


def test_a_falling_trend_has_no_frontier_and_still_a_report():
    table = read_models_table(planted_models(-4.0))
    report = growth_report(table, draws=100, permutations=199)
    assert report.supported == "no" and "too few records" in report.verdict
