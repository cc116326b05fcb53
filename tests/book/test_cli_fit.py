"""``densing fit`` and the reader of CSV files: what they give and how they refuse."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from densing import laws
from densing.book.cli.fit import fit
from densing.data import read_csv_file
from densing.errors import InputError

app = typer.Typer()
app.command()(fit)
COLUMNS = "N=params,D=tokens,y=loss"


@pytest.fixture
def runs(tmp_path):
    rng = np.random.default_rng(0)
    size, tokens = np.exp(rng.uniform(17, 23, 60)), np.exp(rng.uniform(21, 26, 60))
    loss = laws.chinchilla(size, tokens, E=1.8, A=480, B=2100, alpha=0.35, beta=0.37) * np.exp(
        0.005 * rng.standard_normal(60)
    )
    path = tmp_path / "runs.csv"
    pd.DataFrame({"params": size, "tokens": tokens, "loss": loss, "run": np.arange(60) // 2}).to_csv(
        path, index=False
    )
    return path


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_json_has_what_it_promises(runs):
    arguments = (
        runs,
        "--law",
        "chinchilla",
        "--columns",
        COLUMNS,
        "--groups",
        "run",
        "--bootstrap",
        60,
        "--json",
    )
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert {"params", "bse", "conf_int", "objective", "converged", "start_agreement", "n"} <= set(found)
    assert (
        found["n"] == 60 and found["converged"] and found["params"]["alpha"] == pytest.approx(0.35, abs=0.05)
    )
    assert found["conf_int"]["alpha"][0] < found["params"]["alpha"] < found["conf_int"]["alpha"][1]
    assert len(found["compute_optimal"]) == 4
    assert call(*arguments).stdout == result.stdout


def test_tables_and_files(runs, tmp_path):
    folder = tmp_path / "made" / "here"
    result = call(
        runs,
        "--law",
        "chinchilla",
        "--columns",
        COLUMNS,
        "--groups",
        "run",
        "--bootstrap",
        60,
        "--flops",
        "1e21,1e22",
        "--output",
        folder,
    )
    assert result.exit_code == 0, result.output
    assert "alpha" in result.stdout and "Compute-optimal runs" in result.stdout
    assert {p.name for p in folder.iterdir()} == {
        "fit.json",
        "report.json",
        "summary.txt",
        "compute_optimal.csv",
        "fitted.png",
        "residuals.png",
    }
    assert list(pd.read_csv(folder / "compute_optimal.csv")["flops"]) == [1e21, 1e22]
    assert (folder / "fitted.png").read_bytes()[:4] == b"\x89PNG"


def test_a_law_without_allocation(tmp_path):
    path = tmp_path / "curve.csv"
    x = np.geomspace(1e3, 1e7, 20)
    pd.DataFrame({"m": x, "e": 0.4 + 40 * x**-0.3}).to_csv(path, index=False)
    result = call(path, "--law", "hestness_power", "--columns", "m=m,y=e", "--bootstrap", 0)
    assert result.exit_code == 0 and "beta_g" in result.stdout and "Compute-optimal" not in result.stdout


def write(tmp_path, content):
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


HEAD = "params,tokens,loss\n"
ROWS = "".join(f"{1e8 * i},{2e9 * i * i},{3 - 0.05 * i}\n" for i in range(1, 15))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "is a binary file"),
        (b"\xff\xfe\xfa,\xf0\n1,2\n", "not UTF-8"),
        (HEAD, "has a header and no rows"),
        ((HEAD + ROWS).replace(",", ";"), "separated by semicolons"),
        ((HEAD + ROWS).replace(",", "\t"), "separated by tabs"),
        ("params,tokens,loss,loss\n1,2,3,4\n", "the header repeats 'loss'"),
        ("a,b\n1,2\n", "no column 'params', 'tokens', 'loss'; it has 'a', 'b'"),
        (HEAD + ROWS + "1e8,,2.5\n", "column 'tokens', row 16: nan"),
        (HEAD + ROWS + "1e8,many,2.5\n", "column 'tokens', row 16: 'many'"),
        (HEAD + ROWS + "1e8,inf,2.5\n", "column 'tokens', row 16: inf"),
        (
            HEAD + ROWS + "-1e6,1e9,2.5\n",
            "column 'params', row 16: -1000000.0 must be a finite number above 0",
        ),
        (HEAD + ROWS + "1e8,1e9,-2.5\n", "column 'loss', row 16: -2.5 has no logarithm"),
        (HEAD + ROWS + "1,2,3,4,5\n", "line 16: has 5 fields, the header 3"),
        (HEAD + ROWS + "1,2\n", "line 16: has 2 fields, the header 3"),
        (HEAD + ROWS + '1,"2,3\n', "line 16: cannot be read \\(unexpected end of data"),
        ((HEAD + ROWS).encode() + b"\xff\xfe,1,2\n", "not UTF-8 text throughout"),
        (HEAD + "1e8,1e9,2.5\n2e8,2e9,2.4\n", "at least p\\+1 rows"),
        ("x" * 1_500_000, "no header"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, content, message):
    path = write(tmp_path, content)
    result = call(path, "--law", "chinchilla", "--columns", COLUMNS)
    assert isinstance(result.exception, InputError), result.output
    assert re.search(message, str(result.exception)), str(result.exception)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--law", "chinchila", "--columns", COLUMNS), "chinchilla"),
        (("--law", "chinchilla", "--columns", "N=params,y=loss"), "also needs D"),
        (("--law", "chinchilla", "--columns", "N:params"), "INPUT=COLUMN"),
        (("--law", "chinchilla", "--columns", COLUMNS + ",N=loss"), "names N twice"),
        (("--law", "chinchilla", "--columns", COLUMNS), "groups='run'"),
        (("--law", "chinchilla", "--columns", COLUMNS, "--groups", "who"), "no column 'who'"),
        (
            ("--law", "chinchilla", "--columns", COLUMNS, "--groups", "run", "--bootstrap", "7"),
            "bootstrap = 7",
        ),
        (("--law", "chinchilla", "--columns", COLUMNS, "--groups", "run", "--seed", "-3"), "seed = -3"),
        (("--law", "chinchilla", "--columns", COLUMNS, "--groups", "run", "--flops", "many"), "--flops"),
        (("--law", "chinchilla", "--columns", COLUMNS, "--groups", "run", "--delta", "wide"), "--delta"),
    ],
)
def test_bad_options_are_refused(runs, arguments, message):
    result = call(runs, *arguments)
    assert isinstance(result.exception, InputError) and message in str(result.exception), result.exception


def test_paths_that_cannot_be(runs, tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_csv_file(tmp_path / "absent.csv", ["a"])
    with pytest.raises(InputError, match="is not a file"):
        read_csv_file(tmp_path, ["a"])
    taken = write(tmp_path, "x")
    result = call(runs, "--law", "chinchilla", "--columns", COLUMNS, "--groups", "run", "--output", taken)
    assert "must be a folder" in str(result.exception)


def test_size_is_refused_before_parsing(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("parsed")

    monkeypatch.setattr(pd, "read_csv", refuse)
    big = tmp_path / "big.csv"
    with open(big, "wb") as file:
        file.truncate(500_000_001)
    with pytest.raises(InputError, match="500 MB"):
        read_csv_file(big, ["a"])
    long = tmp_path / "long.csv"
    long.write_bytes(b"a\n" + b"1\n" * 2_000_001)
    with pytest.raises(InputError, match="2,000,001 rows, at most 2,000,000"):
        read_csv_file(long, ["a"])


def test_only_named_columns_and_line_numbers(tmp_path):
    frame = read_csv_file(write(tmp_path, "\ufeffa,b,c\n1,x,3\n\n4,y,6\n"), ["c", "a"], ["b", "z"])
    assert list(frame) == ["c", "a", "b"] and list(frame.index) == [2, 4] and frame["a"].tolist() == [1, 4]
