"""Item rows of many models as choice scores, one set a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.checks import check_columns, check_range
from densing.errors import InputError
from densing.evaluation.predictability.stages import ChoiceScores
from densing.fitters.bootstrap import Estimate, paired_bootstrap

#: Families whose questions come from documents: questions of one document are resampled together.
DOCUMENT_FAMILIES = ("doc_next", "doc_match", "code_close")
#: Size and budget at which a family must be above its blind accuracy to count.
COUNTING_SIZE, COUNTING_TOKENS = "d0.4M", 4_000_000


@dataclass(frozen=True, eq=False)
class TaskScores:
    """One task under many models.

    Attributes
    ----------
    name : of the task.
    scores : (models, items, choices) likelihoods.
    models : one row a model, in the order of `scores`; of a ladder size, n_parameters, tokens, seed.
    clusters : (items,) labels of items that are resampled together.
    items : names of the items.
    """

    name: str
    scores: ChoiceScores
    models: pd.DataFrame
    clusters: NDArray
    items: NDArray

    def take(self, models: NDArray, compute: NDArray | None = None) -> "TaskScores":
        """The same items under some of the models (truth values or indices); `compute` replaces their scale."""
        kept = self.models.iloc[np.arange(len(self.models))[np.asarray(models)]].reset_index(drop=True)
        scores = self.scores.select(models=models, compute=compute)
        return TaskScores(self.name, scores, kept, self.clusters, self.items)

    def by_size(self, tokens: float) -> "TaskScores":
        """The models of one budget, with their number of parameters as scale."""
        chosen = (self.models["tokens"] == tokens).to_numpy()
        return self.take(chosen, self.models["n_parameters"].to_numpy(float)[chosen])

    @property
    def seeds(self) -> NDArray:
        """(models,) labels of the training seeds; zeros where there are none."""
        return self.models["seed"].to_numpy() if "seed" in self.models else np.zeros(len(self.models), int)


def task_scores(frame: pd.DataFrame, families: Sequence[str] | None = None) -> dict[str, TaskScores]:
    """The multiple-choice families of a ladder's item rows; compute is 6 N D with N as in n_parameters.

    Parameters
    ----------
    frame : one row a model and item, as `load_reference_items` returns them.
    families : some of them; None: every family of multiple-choice items.

    Returns
    -------
    family to its scores. Items that some model did not answer are left out.

    Raises
    ------
    InputError : a missing column, an unknown family, a model's item that stands there twice, an item whose right
        choice changes, or no item that all models answered.
    """
    keys = ["size", "n_parameters", "tokens", "seed"]
    check_columns("frame", frame.columns, [*keys, "item", "family", "kind", "correct", "log_p_0"])
    frame = frame[frame["kind"] == "choice"]
    known = list(frame["family"].unique())
    for family in families or ():
        if family not in known:
            raise InputError(f"families: {family!r} is not among {', '.join(map(repr, known))}")
    return {name: _task(name, frame[frame["family"] == name], keys) for name in families or known}


def _task(name: str, frame: pd.DataFrame, keys: list[str]) -> TaskScores:
    if frame.duplicated([*keys, "item"]).any():
        twice = frame[frame.duplicated([*keys, "item"])].iloc[0]
        raise InputError(
            f"frame: item {twice['item']!r} stands twice under size {twice['size']!r}, seed {twice['seed']}"
        )
    models = frame[keys].drop_duplicates().sort_values(["n_parameters", "tokens", "seed"], ignore_index=True)
    counts = frame["item"].value_counts()
    shared = frame["item"].unique()[(counts[frame["item"].unique()] == len(models)).to_numpy()]
    if not len(shared):
        raise InputError(f"frame: no item of {name!r} was answered by all {len(models)} models")
    place = models.assign(model=models.index)
    rows = frame[frame["item"].isin(shared)].merge(place, on=keys)
    order = pd.Series(np.arange(len(shared)), index=shared)
    rows = rows.assign(place=order[rows["item"]].to_numpy()).sort_values(
        ["model", "place"], ignore_index=True
    )
    shape = (len(models), len(shared))
    choices = sorted(
        (c for c in rows if c.startswith("log_p_") and c[6:].isdigit()), key=lambda c: int(c[6:])
    )
    log_p = _stacked(rows, choices, shape)
    correct = rows["correct"].to_numpy(float).reshape(shape)
    if (correct != correct[0]).any():
        raise InputError(
            f"frame: item {shared[np.argmax((correct != correct[0]).any(axis=0))]!r} changes its right choice"
        )
    mask = np.isfinite(log_p).any(axis=0)
    first = rows.iloc[: len(shared)]
    optional = {}
    for field, prefix in (("n_bytes", "bytes"), ("n_tokens", "tokens")):
        columns = [f"{prefix}_{c[6:]}" for c in choices]
        if set(columns) <= set(rows):
            optional[field] = first[columns].to_numpy(float)
    columns = [f"log_p_neutral_{c[6:]}" for c in choices]
    if set(columns) <= set(rows):
        optional["neutral"] = _stacked(rows, columns, shape)
    compute = 6 * models["n_parameters"].to_numpy(float) * models["tokens"].to_numpy(float)
    scores = ChoiceScores(log_p, correct[0].astype(int), compute, mask, **optional)
    clusters = shared.astype(object)
    if name in DOCUMENT_FAMILIES and "group" in first:
        clusters = np.where(first["group"] == "", shared, first["group"].to_numpy(object))
    return TaskScores(name, scores, models, clusters, shared)


def _stacked(rows: pd.DataFrame, columns: list[str], shape: tuple[int, int]) -> NDArray:
    return rows[columns].to_numpy(float).reshape(*shape, len(columns))


def counted_tasks(
    tasks: Mapping[str, TaskScores],
    size: str = COUNTING_SIZE,
    tokens: float = COUNTING_TOKENS,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Accuracy minus blind accuracy of each task at one size and budget, mean over seeds.

    Blind accuracy is what the likelihoods after a neutral text earn. A task counts where the interval is above 0.

    Parameters
    ----------
    tasks : from `task_scores`, with neutral likelihoods.
    size, tokens : of the models.
    draws, seed : of the bootstrap over items.

    Raises
    ------
    InputError : no model of that size and budget, or no neutral likelihoods.
    """
    check_range("draws", draws, 1, integer=True)
    found = {}
    for name, task in tasks.items():
        chosen = ((task.models["size"] == size) & (task.models["tokens"] == tokens)).to_numpy()
        if not chosen.any():
            raise InputError(f"size = {size!r}, tokens = {tokens:g}: {name} has no such model")
        if task.scores.neutral is None:
            raise InputError(f"tasks: {name} has no neutral likelihoods")
        some = task.scores.select(models=chosen)
        blind = ChoiceScores(some.neutral, some.correct, some.compute, some.mask)
        found[name] = paired_bootstrap(
            some.stage("accuracy").mean(axis=0),
            blind.stage("accuracy").mean(axis=0),
            groups=task.clusters.astype(str),
            draws=draws,
            seed=seed,
        )
    return found
