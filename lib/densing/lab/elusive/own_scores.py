"""A reader's own likelihoods of choices: one row a model, item and choice, in a CSV or JSONL file."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from densing.checks import check_columns
from densing.data.csv_files import MAX_BYTES, read_csv_file
from densing.errors import InputError
from densing.evaluation.predictability.correlations import LEAST_ITEMS, LEAST_SCALES
from densing.evaluation.predictability.stages import ChoiceScores
from densing.lab.elusive.items import TaskScores

COLUMNS = ("model", "compute", "item", "choice", "is_correct", "log_p")
_TRUTH = {"true": 1, "false": 0}


def read_choice_scores(path: str | Path) -> TaskScores:
    """Read likelihoods of choices under at least four models of different compute.

    Parameters
    ----------
    path : a CSV file with a header, or a .jsonl file with an object a line, with the columns or keys model, compute
        (FLOPs, or parameters if all models saw as much), item, choice, is_correct (true or false, 1 or 0) and log_p
        (nats, summed over the choice's tokens, <= 0).

    Raises
    ------
    InputError : a file that cannot be read or lacks a column; a value that is not allowed (names line and item); a
        model with two amounts of compute; an item without exactly one right choice, or with other choices under some
        models; fewer than 20 items or four amounts of compute.
    """
    path = Path(path)
    frame = _read_jsonl(path) if path.suffix.lower() == ".jsonl" else read_csv_file(path, COLUMNS)
    return choice_scores(frame, path.name)


def choice_scores(frame: pd.DataFrame, name: str = "your items") -> TaskScores:
    """The same from a table with those columns.

    Parameters
    ----------
    frame : one row a model, item and choice.
    name : of the task; begins the text of errors.
    """
    check_columns(name, frame.columns, COLUMNS)
    frame = frame.assign(
        compute=_numbers(frame, "compute", name, "a number above 0", lambda v: v > 0),
        log_p=_numbers(frame, "log_p", name, "a log-probability <= 0", lambda v: v <= 0),
        is_correct=_numbers(frame, "is_correct", name, "true or false", lambda v: v.isin([0, 1])),
        **{column: frame[column].astype(str) for column in ("model", "item", "choice")},
    )
    models = _models(frame, name)
    choices = _choices(frame, name, len(models))
    items = choices["item"].unique()
    number, at = pd.Series(np.arange(len(items)), items), pd.Series(np.arange(len(models)), models["model"])
    rows = frame.merge(choices[["item", "choice", "place"]], on=["item", "choice"])
    log_p = np.full((len(models), len(items), int(choices["place"].max()) + 1), np.nan)
    log_p[at[rows["model"]], number[rows["item"]], rows["place"]] = rows["log_p"]
    correct = choices[choices["is_correct"] == 1].set_index("item")["place"][items].to_numpy()
    scores = ChoiceScores(log_p, correct, models["compute"].to_numpy(), np.isfinite(log_p[0]))
    return TaskScores(name, scores, models, items.astype(object), items)


def _numbers(frame: pd.DataFrame, column: str, name: str, must: str, allowed) -> pd.Series:
    text = frame[column].map(lambda v: _TRUTH.get(str(v).lower(), v))
    numbers = pd.to_numeric(text, errors="coerce").astype(float)
    bad = ~(np.isfinite(numbers) & allowed(numbers))
    if bad.any():
        row = frame.index[int(np.argmax(bad))]
        value, item = frame[column][row], str(frame["item"][row])
        shown = repr(value) if isinstance(value, str) else value
        raise InputError(f"{name}, line {row}: {column} = {shown} (item {item!r}), must be {must}")
    return numbers


def _models(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    computes = frame.groupby("model", sort=False)["compute"]
    if (computes.nunique() > 1).any():
        raise InputError(f"{name}: model {computes.nunique().idxmax()!r} has more than one compute")
    models = computes.first().sort_values(kind="stable").reset_index()
    if models["compute"].nunique() < LEAST_SCALES:
        raise InputError(
            f"{name}: {models['compute'].nunique()} different values of compute, must be at least {LEAST_SCALES}"
        )
    return models


def _choices(frame: pd.DataFrame, name: str, n_models: int) -> pd.DataFrame:
    """One row a choice of an item, with its place; refuses items that differ between models."""
    twice = frame[frame.duplicated(["model", "item", "choice"])]
    if len(twice):
        row = twice.iloc[0]
        raise InputError(
            f"{name}: model {row['model']!r} has choice {row['choice']!r} of item {row['item']!r} twice"
        )
    rows = frame.groupby(["item", "choice"], sort=False)["is_correct"].agg(["size", "min", "max"])
    for wrong, what in (
        (rows["size"] != n_models, f"was not scored under all {n_models} models"),
        (rows["min"] != rows["max"], "is right under some models only"),
    ):
        if wrong.any():
            item, choice = wrong.idxmax()
            raise InputError(f"{name}: choice {choice!r} of item {item!r} {what}")
    choices = frame.drop_duplicates(["item", "choice"])
    rights = choices.groupby("item", sort=False)["is_correct"].sum()
    if (rights != 1).any():
        item = (rights != 1).idxmax()
        raise InputError(f"{name}: item {item!r} has {int(rights[item])} right choices, must have one")
    if len(rights) < LEAST_ITEMS:
        raise InputError(f"{name}: {len(rights)} items, must be at least {LEAST_ITEMS}")
    return choices.assign(place=choices.groupby("item").cumcount())


def _read_jsonl(path: Path) -> pd.DataFrame:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: at most {MAX_BYTES / 1e6:,.0f} MB are read")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not UTF-8 text") from None
    rows, lines = [], []
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
            rows.append([row[column] for column in COLUMNS])
        except KeyError as missing:
            raise InputError(f"{path}, line {line}: lacks the key {missing}") from None
        except (ValueError, TypeError):
            raise InputError(f"{path}, line {line}: must be a JSON object") from None
        lines.append(line)
    if not rows:
        raise InputError(f"{path}: holds no rows")
    return pd.DataFrame(rows, columns=list(COLUMNS), index=pd.Index(lines, name="line"))


def choice_table(scores: ChoiceScores) -> pd.DataFrame:
    """Scores as the rows that `choice_scores` reads: model, compute, item, choice, is_correct, log_p."""
    model, item, choice = (axis.ravel() for axis in np.indices(scores.shape))
    frame = pd.DataFrame(
        {
            "model": [f"model-{m + 1}" for m in model],
            "compute": scores.compute[model],
            "item": [f"item-{i + 1}" for i in item],
            "choice": choice,
            "is_correct": (choice == scores.correct[item]).astype(int),
            "log_p": scores.log_p.ravel(),
        }
    )
    return frame[scores.mask[item, choice]].reset_index(drop=True)
