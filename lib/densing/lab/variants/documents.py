"""Losses of the recorded variants and of their parents on every document of the reported split."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.data.provenance import record_file
from densing.errors import InputError
from densing.fitters.bootstrap import cluster_weights
from densing.lab.reference.store import load_reference_runs
from densing.lab.runs import load_runs, runs_path
from densing.lab.variants.plan import SWEEP
from densing.lab.yardstick.rows import REFERENCE_TOKENS


def variant_document_nats(variants: pd.DataFrame) -> dict[str, tuple[NDArray, NDArray]]:
    """Nats (documents,) of each recorded variant and of its parent, means over their common seeds.

    Parameters
    ----------
    variants : recorded rows of ``density_variants``.

    Raises
    ------
    InputError : a variant and its parent that were measured on other documents.
    """
    own = load_runs(SWEEP, items=True).merge(variants[["digest", "row", "variant"]], on=["digest", "row"])
    runs = load_reference_runs()
    runs = runs[(runs["tokens"] == REFERENCE_TOKENS) & runs["size"].isin(variants["size"])]
    path = record_file(runs_path("reference", items=True))
    parents = pd.read_parquet(path, columns=["digest", "row", "item", "log_p"],
                              filters=[("digest", "in", set(runs["digest"]))])  # fmt: skip
    parents = parents[parents["item"].str.startswith("val_b:")]
    parents = parents.merge(runs[["digest", "row", "size", "seed"]], on=["digest", "row"])
    found = {}
    for name, rows in variants.groupby("variant", sort=False):
        of = parents[(parents["size"] == rows["size"].iloc[0]) & parents["seed"].isin(rows["seed"])]
        nats = [-f.groupby("item")["log_p"].mean() for f in (own[own["variant"] == name], of)]
        if not nats[0].index.equals(nats[1].index):
            raise InputError(f"variants: {name} and its parent were measured on other documents")
        found[name] = tuple(series.to_numpy(float) for series in nats)
    return found


def document_shifts(nats: tuple[NDArray, NDArray], draws: int, seed: int) -> NDArray:
    """How ln(loss of a variant / loss of its parent) moves (B,) when documents are drawn with replacement.

    Parameters
    ----------
    nats : of each document under the variant and under the parent, (documents,) each.
    draws : B. seed : of the draw; the same seed draws the same documents.

    Raises
    ------
    InputError : arrays of different lengths.
    """
    ours, theirs = (np.asarray(one, float) for one in nats)
    if ours.shape != theirs.shape:
        raise InputError(f"documents: has {len(ours)} of the variant and {len(theirs)} of the parent")
    weights = cluster_weights(np.arange(len(ours)), draws, seed).astype(float)
    return np.log((weights @ ours) / (weights @ theirs)) - np.log(ours.sum() / theirs.sum())
