"""A reader's own table of models, brought into the form of the book's."""

from pathlib import Path

import numpy as np
import pandas as pd

from densing.checks import check_columns, check_range
from densing.errors import InputError
from densing.lab.published.curves import check_scores, score_columns
from densing.laws.capability.growth import DAYS_PER_MONTH

_REQUIRED = ("model", "date", "parameters")
_OPTIONAL = ("family", "parameters_active")


def read_models_table(source: str | Path | pd.DataFrame) -> pd.DataFrame:
    """Read and check a table of models before anything is computed with it.

    Parameters
    ----------
    source : path of a CSV file, or a frame. Columns model, date (2024-05-31, or 2024-05 where only the month is
        known), parameters (a plain count), optionally family and parameters_active (of a mixture of experts), and any
        score columns in [0, 1]. Columns of text are left aside; without a family each model is its own.

    Returns
    -------
    Frame in the form of the table ``densing_models``: model, family, params_total, params_active, is_moe, release_date,
    release_date_precision, and the scores.

    Raises
    ------
    InputError : one error that names what is wrong: the file, missing columns, fewer than three rows, a repeated or
        empty model name, a date that cannot be read, a size that is not positive (or given in billions), no score
        column, a score outside [0, 1].
    """
    frame = _read(source)
    check_columns("models", frame.columns, _REQUIRED)
    if len(frame) < 3:
        raise InputError(f"models: has {len(frame)} rows; a trend needs at least 3")
    frame = frame.reset_index(drop=True)
    model = frame["model"].astype("string")
    if model.isna().any() or model.duplicated().any():
        row = int((model.isna() | model.duplicated()).argmax())
        raise InputError(f"model = {frame['model'][row]!r} in row {row + 1}: must be a name that stands once")
    total = _sizes(frame, "parameters")
    active = _sizes(frame, "parameters_active") if "parameters_active" in frame else total
    if (active > total).any():
        raise InputError(
            f"parameters_active of {model[int((active > total).argmax())]!r} exceeds its parameters"
        )
    dates, precision = _dates(frame["date"])
    result = pd.DataFrame(
        {
            "model": model.astype(object),
            "family": (frame["family"] if "family" in frame else model).fillna(model).astype(str),
            "params_total": total,
            "params_active": active,
            "is_moe": (active < total).astype(int),
            "release_date": dates,
            "release_date_precision": precision,
        }
    )
    others = frame.drop(columns=[c for c in (*_REQUIRED, *_OPTIONAL) if c in frame])
    names = score_columns(others)
    if not names:
        raise InputError("models: has no score column; add at least one of numbers in [0, 1]")
    check_scores(model, names, others[names].to_numpy(float))
    return pd.concat([result, others[names].astype(float)], axis=1)


def planted_models(
    months: float | None, *, families: int = 14, noise: float = 0.1, seed: int = 0
) -> pd.DataFrame:
    """A made-up table in the form a reader brings, for trying out what `growth_report` finds.

    Families of 1, 4 and 16 billion parameters appear every 45 days; effective size grows by the planted rate, each
    family has luck of its own (three times `noise`, in ln N), each model noise, and two benchmarks follow logistic
    curves.

    Parameters
    ----------
    months : planted doubling time, negative for decline; None for no growth.
    """
    check_range("families", families, 1, integer=True)
    check_range("noise", noise, 0)
    check_range("seed", seed, 0, integer=True)
    rng = np.random.default_rng(seed)
    rate = 0.0 if months is None else np.log(2) / (months * DAYS_PER_MONTH)
    rows = []
    for k in range(families):
        date, luck = pd.Timestamp("2023-06-01") + pd.Timedelta(days=45 * k), 3 * noise * rng.normal()
        for size in (1e9, 4e9, 16e9):
            x = np.log(size / 3e10) + rate * 45 * k + luck + noise * rng.normal()
            scores = 1 / (1 + np.exp(-0.4 * x)), 1 / (1 + np.exp(-0.6 * x - 0.2))
            rows.append((f"m{k}-{size / 1e9:g}b", f"family {k}", date, size, *scores))
    return pd.DataFrame(rows, columns=["model", "family", "date", "parameters", "quiz", "riddles"])


def _read(source: str | Path | pd.DataFrame) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        return source
    try:
        return pd.read_csv(source)
    except FileNotFoundError:
        raise InputError(f"models_csv = {str(source)!r}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"models_csv = {str(source)!r}: is not a CSV table ({str(error).splitlines()[0]})"
        ) from None


def _sizes(frame: pd.DataFrame, column: str) -> pd.Series:
    sizes = pd.to_numeric(frame[column], errors="coerce")
    bad = ~(np.isfinite(sizes) & (sizes > 0))
    if bad.any():
        row = int(bad.argmax())
        raise InputError(
            f"{column} = {frame[column][row]} of {frame['model'][row]!r}: must be a positive number"
        )
    if sizes.max() < 10_000:
        raise InputError(
            f"{column}: the largest is {sizes.max():g}; give plain counts, 7 billion as 7000000000 or 7e9"
        )
    return sizes.astype(float)


def _dates(column: pd.Series) -> tuple[pd.Series, pd.Series]:
    text = column.astype("string").str.strip()
    month = text.str.fullmatch(r"\d{4}-\d{2}").fillna(False).astype(bool)
    # a month stands on its 15th, as in the book's table
    dates = pd.to_datetime(text.where(~month, text + "-15"), format="ISO8601", errors="coerce")
    if dates.isna().any():
        row = int(dates.isna().argmax())
        raise InputError(
            f"date = {column[row]!r} in row {row + 1}: must be a date such as 2024-05-31 or 2024-05"
        )
    return dates.dt.tz_localize(None), np.where(month, "month", "day")
