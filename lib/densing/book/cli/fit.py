"""``densing fit``: a law on a reader's own table."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from densing.fitters import ScalingLawResults

_BUDGETS = (0.1, 1.0, 10.0, 100.0)  # default budgets, in units of the largest compute in the table


def fit(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Comma-separated, with a header; a row a run.")
    ],
    law: Annotated[str, typer.Option(help="Name of the law: chinchilla, power_constant, overtraining, ...")],
    columns: Annotated[
        str, typer.Option(help="The law's inputs and y, each with its column: N=params,D=tokens,y=loss.")
    ],
    groups: Annotated[
        str | None, typer.Option(help="Column that names the run of a row; whole runs are resampled.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Column of weights above 0.")] = None,
    bootstrap: Annotated[int, typer.Option(help="Resamples; 0 for none, else at least 50.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of starts and resamples.")] = 0,
    scale: Annotated[str, typer.Option(help="Residuals: log, or identity (y may be 0 or negative).")] = "log",
    delta: Annotated[str, typer.Option(help="Width of the Huber loss, or auto.")] = "0.001",
    flops: Annotated[
        str | None, typer.Option(help="Training budgets for the compute-optimal table: 1e20,1e21.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    output: Annotated[
        Path | None, typer.Option(help="Folder for fit.json, the tables and the figures; made if absent.")
    ] = None,
) -> None:
    """Fit a law to the runs in FILE: parameters with intervals, and how to spend compute."""
    import json
    import warnings

    from densing.data.csv_files import read_csv_file
    from densing.errors import FitError, InputError
    from densing.fitters import RUN_COLUMNS, ScalingLaw, parse_columns

    names = parse_columns(columns)
    budgets = parse_numbers("--flops", flops)
    width = delta if delta == "auto" else parse_numbers("--delta", delta)[0]
    if output is not None and output.exists() and not output.is_dir():
        raise InputError(f"--output = {str(output)!r}: must be a folder")
    wanted = [*names.values(), *(c for c in (groups, weights) if c)]
    table = read_csv_file(file, wanted, optional=RUN_COLUMNS)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            problem = ScalingLaw(law, table, columns=names, groups=groups, weights=weights)
            found = problem.fit(bootstrap=bootstrap, seed=seed, scale=scale, delta=width)
            optimum = _compute_optimal(found, budgets)
        except FitError as error:
            raise InputError(str(error)) from None
    for text in dict.fromkeys(" ".join(str(w.message).split()) for w in caught):
        print(f"densing: warning: {text}", file=sys.stderr)
    if output is not None:
        _write(found, optimum, output)
    if as_json:
        print(json.dumps(_report(found, optimum), indent=1, allow_nan=False))
        return
    print(found.summary())
    if optimum is not None:
        print("\nCompute-optimal runs (95 % intervals)")
        print(optimum.to_string(index=False, float_format=lambda v: f"{v:.4g}"))


def parse_numbers(option: str, text: str | None) -> list[float]:
    """Numbers of an option, joined by commas; none of no text."""
    from densing.errors import InputError

    try:
        return [float(part) for part in text.split(",")] if text else []
    except ValueError:
        raise InputError(f"{option} = {text!r}: must be numbers joined by commas") from None


def _compute_optimal(found: "ScalingLawResults", budgets: list[float]):
    """Table of optima at the budgets; None where the law has no closed form and no budget was asked for."""
    import warnings

    from densing.errors import InputError

    ranges = found.input_ranges
    if budgets:
        return found.allocate(budgets)
    if "compute" in ranges:
        largest = ranges["compute"][1]
    elif "N" in ranges and "D" in ranges:
        largest = 6 * ranges["N"][1] * ranges["D"][1]
    else:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the default budgets reach beyond the data on purpose
            return found.allocate([largest * share for share in _BUDGETS])
    except InputError:
        return None


def _report(found: "ScalingLawResults", optimum) -> dict:
    """What ``--json`` prints; numbers that are not finite become null."""
    ends = found.conf_int()
    report = {
        "law": found.law.name,
        "columns": dict(found.columns),
        "n": found.nobs,
        "params": found.params.to_dict(),
        "bse": found.bse.to_dict(),
        "conf_int": {
            name: list(pair) for name, pair in zip(ends.index, ends.to_numpy().tolist(), strict=True)
        },
        "level": 0.95,
        "objective": found.fun,
        "converged": found.converged,
        "start_agreement": found.start_agreement,
        "not_identified": found.not_identified,
        "bootstrap": 0 if found.bootstrap_params is None else len(found.bootstrap_params),
        "seed": found.seed,
        "data_sha256": found.data_digest,
        "compute_optimal": [] if optimum is None else optimum.to_dict("records"),
    }
    return finite(report)


def finite(value):
    """The same value for JSON: numbers that are not finite become None."""
    import math

    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _write(found: "ScalingLawResults", optimum, folder: Path) -> None:
    import json

    from densing.book.fit_figures import draw_fit
    from densing.errors import InputError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        found.to_json(folder / "fit.json")
        report = json.dumps(_report(found, optimum), indent=1, allow_nan=False)
        (folder / "report.json").write_text(report + "\n", encoding="utf-8")
        (folder / "summary.txt").write_text(f"{found.summary()}\n", encoding="utf-8")
        if optimum is not None:
            optimum.to_csv(folder / "compute_optimal.csv", index=False)
        draw_fit(found, folder)
    except OSError as error:
        raise InputError(
            f"--output = {str(folder)!r}: cannot be written ({error.strerror or error})"
        ) from None
