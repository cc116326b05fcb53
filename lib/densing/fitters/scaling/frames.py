"""From a table to the numbers of a fit, with everything refused that could not be fitted."""

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_columns
from densing.errors import IdentifiabilityWarning, InputError
from densing.laws.base import Law

# Names under which tables carry the run that a row belongs to.
RUN_COLUMNS = ("run", "run_id", "hyper_id", "trajectory", "trajectory_id")


@dataclass(frozen=True)
class Rows:
    """What a fit uses of a table.

    Attributes
    ----------
    inputs : names; x : values (k, n), y : response (n,), weights : (n,).
    groups : cluster of each row (n,), 0 to the number of clusters minus one; None where rows are independent.
    digest : SHA-256 of the used columns.
    """

    inputs: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    groups: np.ndarray | None
    digest: str

    def take(self, rows: np.ndarray) -> "Rows":
        """The rows where `rows` (n,) is true."""
        groups = None if self.groups is None else np.unique(self.groups[rows], return_inverse=True)[1]
        digest = _digest(self.inputs, self.x[:, rows], self.y[rows], self.weights[rows], groups)
        return Rows(self.inputs, self.x[:, rows], self.y[rows], self.weights[rows], groups, digest)


def read_rows(law: Law, data: pd.DataFrame, columns: Mapping[str, str], weights=None, groups=None) -> Rows:
    """The numbers that `law` needs from `data`.

    Parameters
    ----------
    columns : the law's inputs, and "y", to column names.
    weights : column name or (n,) numbers > 0.
    groups : column name or (n,) labels of the run that a row belongs to; False: every row is a run of its own.

    Raises
    ------
    InputError : names the column and the row.
    """
    if not isinstance(data, pd.DataFrame):
        raise InputError(f"data = {type(data).__name__}: must be a pandas DataFrame")
    if not isinstance(columns, Mapping):
        raise InputError(f"columns = {columns!r}: must map {', '.join([*law.inputs, 'y'])} to column names")
    wanted = [*law.inputs, "y"]
    for key in columns:
        check_choice("columns: input", key, wanted)
    missing = [key for key in wanted if key not in columns]
    if missing:
        raise InputError(f"columns: {law.name} also needs {', '.join(missing)}")
    check_columns("data", data.columns, columns.values())
    if data.columns.duplicated().any():
        raise InputError(f"data: column {data.columns[data.columns.duplicated()][0]!r} stands there twice")
    x = np.array([_numbers(data, columns[name], positive=_is_positive(law, name)) for name in law.inputs])
    y = _numbers(data, columns["y"])
    n = len(y)
    found = np.ones(n) if weights is None else _weights(data, weights)
    clusters = _clusters(data, groups)
    return Rows(tuple(law.inputs), x, y, found, clusters, _digest(tuple(law.inputs), x, y, found, clusters))


def parse_columns(text: str) -> dict[str, str]:
    """``"N=params,D=tokens,y=loss"`` as a mapping of inputs to columns.

    Raises
    ------
    InputError : not such pairs, or an input named twice.
    """
    names: dict[str, str] = {}
    for part in text.split(","):
        name, found, column = (piece.strip() for piece in part.partition("="))
        if not (name and found and column):
            raise InputError(f"columns = {text!r}: must be pairs INPUT=COLUMN joined by commas, at {part!r}")
        if name in names:
            raise InputError(f"columns = {text!r}: names {name} twice")
        names[name] = column
    return names


def read_inputs(law: Law, exog, columns: Mapping[str, str]) -> np.ndarray:
    """Inputs (k, m) of new runs: a frame with the fitted columns or the law's own names, or a mapping of either."""
    frame = (
        exog
        if isinstance(exog, pd.DataFrame)
        else pd.DataFrame({k: np.atleast_1d(v) for k, v in dict(exog).items()})
    )
    names = [columns[name] if columns.get(name) in frame.columns else name for name in law.inputs]
    check_columns("exog", frame.columns, names)
    return np.array(
        [_numbers(frame, c, positive=_is_positive(law, n)) for n, c in zip(law.inputs, names, strict=True)]
    )


def check_design(law: Law, rows: Rows, parameters: int) -> None:
    """Refuse data that cannot determine the law's `parameters` free parameters; warn where they barely can.

    Raises
    ------
    InputError : too few rows, or an input with too few distinct values.
    """
    n = len(rows.y)
    if n < parameters + 1:
        raise InputError(
            f"data: {law.name} needs at least p+1 rows, {parameters + 1} for {parameters} parameters, has {n}"
        )
    for name, need in law.needs.items():
        distinct = len(np.unique(rows.x[rows.inputs.index(name)]))
        if distinct < need.distinct:
            raise InputError(
                f"data: input {name} has {distinct} distinct value{'s' * (distinct > 1)}, {law.name} needs "
                f"{need.distinct}: {', '.join(need.identifies)} cannot be identified"
            )
    if law.ratio:
        (first, second), tied = law.ratio
        spread = np.ptp(np.log(rows.x[rows.inputs.index(first)]) - np.log(rows.x[rows.inputs.index(second)]))
        if spread < 0.05:
            warnings.warn(
                f"{first} and {second} are proportional in this data, so {', '.join(law.names)} cannot all be told "
                f"apart; tie exponents with tie={{{tied[1]!r}: {tied[0]!r}}} or fit a law of one input",
                IdentifiabilityWarning,
                stacklevel=4,
            )


def check_independence(data: pd.DataFrame, groups) -> None:
    """Refuse to resample rows as if independent when the table says that several belong to one run."""
    if groups is not None:
        return
    for column in RUN_COLUMNS:
        if column in data.columns and data[column].duplicated().any():
            raise InputError(
                f"groups: column {column!r} has several rows of one run, which are not independent; pass "
                f"groups={column!r} to resample whole runs, or groups=False if rows are independent all the same"
            )


def _is_positive(law: Law, name: str) -> bool:
    return name not in law.plain_inputs and law.input_range == "positive"


def _numbers(data: pd.DataFrame, column: str, positive: bool = False) -> np.ndarray:
    series = data[column]
    numbers = pd.to_numeric(series, errors="coerce").to_numpy(dtype=float)
    bad = ~np.isfinite(numbers) | ((numbers <= 0) if positive else False)
    if bad.any():
        at = int(np.argmax(bad))
        raise InputError(
            f"column {column!r}, row {data.index[at]}: {_plain(series.iloc[at])!r} must be a finite number"
            + (" above 0" if positive else "")
        )
    return numbers


def _plain(value):
    """The value as Python shows it, not as NumPy does."""
    return value.item() if isinstance(value, np.generic) else value


def _weights(data: pd.DataFrame, weights) -> np.ndarray:
    if isinstance(weights, str):
        check_columns("weights: data", data.columns, [weights])
        return _numbers(data, weights, positive=True)
    series = pd.DataFrame({"weights": np.asarray(weights).ravel()})
    if len(series) != len(data):
        raise InputError(f"weights: has {len(series)} numbers, the data {len(data)} rows")
    return _numbers(series, "weights", positive=True)


def _clusters(data: pd.DataFrame, groups) -> np.ndarray | None:
    if groups is None or groups is False:
        return None
    if isinstance(groups, str):
        check_columns("groups: data", data.columns, [groups])
        groups = data[groups]
    labels = pd.Series(np.asarray(groups).ravel())
    if len(labels) != len(data):
        raise InputError(f"groups: has {len(labels)} labels, the data {len(data)} rows")
    if labels.isna().any():
        raise InputError(f"groups: row {data.index[int(np.argmax(labels.isna()))]} has no label")
    codes, uniques = pd.factorize(labels)
    if len(uniques) < 2:
        raise InputError("groups: must name at least two runs")
    return codes


def _digest(inputs, x, y, weights, groups) -> str:
    digest = hashlib.sha256(",".join(inputs).encode())
    for array in (x, y, weights, [] if groups is None else groups):
        digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
    return digest.hexdigest()
