"""Published runs: how closely losses of right answers and accuracies follow compute on real models."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.checks import check_columns
from densing.errors import InputError
from densing.evaluation.predictability.correlations import correlate

#: Names for the reader, by the stem of the table's columns.
_TITLES = {
    "mmlu": "MMLU", "hellaswag": "HellaSwag", "arc_easy": "ARC easy", "arc_challenge": "ARC challenge",
    "boolq": "BoolQ", "csqa": "CommonsenseQA", "openbookqa": "OpenBookQA", "piqa": "PIQA",
    "socialiqa": "Social IQa", "winogrande": "WinoGrande",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PublishedCheck:
    """Rank correlation with compute of bits per byte of the right answer and of accuracy, by task set.

    Attributes
    ----------
    table : one row a task set: task (column stem), benchmark, bits and accuracy (|Spearman|), difference.
    sign_p : one-sided exact p value of the sign test that bits follow compute more closely.
    """

    table: pd.DataFrame
    sign_p: float

    @property
    def benchmarks(self) -> "PublishedCheck":
        """The same with one row a benchmark: task sets of one benchmark averaged."""
        means = self.table.groupby("benchmark", sort=False)[["bits", "accuracy"]].mean().reset_index()
        means.insert(0, "task", means["benchmark"])
        return _check(means)


def check_olmo_ladder(runs: pd.DataFrame, prefix: str = "") -> PublishedCheck:
    """|Spearman| with 6ND over the runs of the OLMo ladder, for every task set.

    Parameters
    ----------
    runs : the published table olmo_ladder_runs: params, tokens, and for each task set ``bpb_<task>`` (bits per byte of
        the right answer) and ``acc_<task>``.
    prefix : ``""`` for the last evaluation, ``"last5_"`` for means of the last five.

    Raises
    ------
    InputError : a column that is missing, or no task set with both scores.

    References
    ----------
    Bhagia et al. (2024), arXiv 2412.04403.
    """
    check_columns("runs", runs.columns, ["params", "tokens"])
    tasks = [c.removeprefix(f"{prefix}bpb_") for c in runs.columns if c.startswith(f"{prefix}bpb_")]
    if not tasks:
        raise InputError(f"runs: no column begins with '{prefix}bpb_'")
    check_columns("runs", runs.columns, [f"{prefix}acc_{task}" for task in tasks])
    compute = _compute(runs["params"], runs["tokens"])
    columns = {
        name: _ranks(compute, runs[[f"{prefix}{stem}_{task}" for task in tasks]])
        for name, stem in (("bits", "bpb"), ("accuracy", "acc"))
    }
    table = pd.DataFrame({"task": tasks, "benchmark": [_benchmark(task) for task in tasks], **columns})
    return _check(table)


def _check(table: pd.DataFrame) -> PublishedCheck:
    from scipy.stats import binomtest

    table = table.assign(difference=table["bits"] - table["accuracy"])
    untied = table["difference"][table["difference"] != 0]
    above = int((untied > 0).sum())
    p = binomtest(above, len(untied), alternative="greater").pvalue if len(untied) else 1.0
    return PublishedCheck(table, float(p))


def _benchmark(task: str) -> str:
    stem = re.sub(r"_(val|test)$", "", task)
    return _TITLES["mmlu"] if stem.startswith("mmlu_") else _TITLES.get(stem, stem)


def published_quantities(runs: pd.DataFrame) -> dict[str, float]:
    """Quantities of the claim on published runs.

    Parameters
    ----------
    runs : the published table olmo_ladder_runs.
    """
    check, smooth = check_olmo_ladder(runs), check_olmo_ladder(runs, "last5_")
    table = check.table
    return {
        "median_difference": float(table["difference"].median()),
        "sign_p": check.sign_p,
        "median_bits": float(table["bits"].median()),
        "median_accuracy": float(table["accuracy"].median()),
        "least_bits": float(table["bits"].min()),
        "least_accuracy": float(table["accuracy"].min()),
        "sign_p_last_five": smooth.sign_p,
        "sign_p_benchmarks": check.benchmarks.sign_p,
        "n_benchmarks": len(check.benchmarks.table),
    }


def other_published_table(
    pythia: pd.DataFrame, gadre: pd.DataFrame, least_tokens: float = 1e9
) -> pd.DataFrame:
    """|Spearman| with 6ND of a loss and of accuracy on two more published tables, as text.

    LAMBADA asks Pythia's checkpoints for a last word, which must be the likeliest of all strings, not of a few given
    ones: its accuracy thresholds the probability that its perplexity averages. Of the over-training runs the loss is
    that on C4, and the accuracy the median over tasks, each correlated by itself.

    Parameters
    ----------
    pythia : the published table pythia_checkpoint_evals; a row a checkpoint and number of shots.
    gadre : the published table gadre_runs; a row a run, accuracies in columns ``acc_<task>``.
    least_tokens : checkpoints with fewer training tokens are left out.

    Returns
    -------
    Frame with columns models, number, tasks, loss, accuracy; a row a number of shots, and a row a training set.

    Raises
    ------
    InputError : a column that is missing, or a size label without a number.

    References
    ----------
    Biderman et al. (2023), arXiv 2304.01373; Gadre et al. (2024), arXiv 2403.08540.
    """
    needed = ["size_label", "shots", "tokens", "lambada_openai_ppl", "lambada_openai_acc"]
    check_columns("pythia", pythia.columns, needed)
    check_columns("gadre", gadre.columns, ["train_dataset", "params", "tokens", "loss_c4_val_nats"])
    rows = []
    for shots, part in pythia[pythia["tokens"] >= least_tokens].dropna(subset=needed).groupby("shots"):
        compute = _compute(part["size_label"].map(_parameters), part["tokens"])
        rows.append(_row(f"Pythia, LAMBADA, {shots:.0f} shots", compute, part, needed[3], [needed[4]]))
    tasks = [c for c in gadre.columns if c.startswith("acc_")]
    for name, part in gadre.dropna(subset=["params", "tokens", "loss_c4_val_nats"]).groupby("train_dataset"):
        compute = _compute(part["params"], part["tokens"])
        known = [c for c in tasks if part[c].notna().all() and part[c].nunique() > 1]
        rows.append(_row(f"Gadre, {name}", compute, part, "loss_c4_val_nats", known))
    return pd.DataFrame(rows)


def _row(
    models: str, compute: pd.Series, part: pd.DataFrame, loss: str, tasks: list[str]
) -> dict[str, object]:
    found = _ranks(compute, part[[loss, *tasks]])
    return {
        "models": models,
        "number": len(part),
        "tasks": len(tasks),
        "loss": f"{found[0]:.3f}",
        "accuracy": f"{np.median(found[1:]):.3f}",
    }


def _ranks(compute: pd.Series, scores: pd.DataFrame) -> NDArray:
    """(columns,) |Spearman| of each column with compute."""
    return np.abs(correlate(scores.to_numpy(float), compute.to_numpy(), "spearman"))


def _compute(params: pd.Series, tokens: pd.Series) -> pd.Series:
    return 6 * params.astype(float) * tokens.astype(float)  # whole numbers would overflow


def _parameters(label: str) -> float:
    found = re.fullmatch(r"([\d.]+)\s*([mb])", str(label).lower())
    if not found:
        raise InputError(f"size_label = {label!r}: must be like '160m' or '1.4b'")
    return float(found[1]) * {"m": 1e6, "b": 1e9}[found[2]]
