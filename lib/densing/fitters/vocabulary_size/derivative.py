"""Approach 2: the vocabulary that reads a text most cheaply, from a measured anchor."""

import math
from typing import TYPE_CHECKING

import numpy as np

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.bootstrap import cluster_weights
from densing.fitters.vocabulary_size.checkpoints import LOSS, RUN, check_checkpoints
from densing.fitters.vocabulary_size.results import VocabularyResults, summarize_fit
from densing.laws.vocabulary_size import DerivativeCoefficients, cheapest_vocabulary

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike


class DerivativeVocabulary:
    """Approach 2: the vocabulary that reads a text with the fewest FLOPs, its growth with size, and a
    measured anchor.

    f(V) is fitted to the tokens per character that the FLOPs of the table imply; the cheapest vocabulary of
    every size of the table follows by a root; ln of the ratios of N_v to those of the smallest size are
    regressed through the origin. The loss enters only through the anchor: the vocabulary with the lowest
    loss of the smallest size at `anchor_flops`.

    Parameters
    ----------
    anchor_flops : budget at which the anchor is read; the paper's 2.7e17.
    draws, seed : of the bootstrap over runs; 0 draws for none.
    """

    def __init__(self, *, anchor_flops: float = 2.7e17, draws: int = 1000, seed: int = 0) -> None:
        check_range("anchor_flops", anchor_flops, 0, open_low=True)
        check_range("draws", draws, 0, integer=True)
        check_range("seed", seed, 0, integer=True)
        self.anchor_flops, self.draws, self.seed = anchor_flops, draws, seed

    def fit(self, frame: "pd.DataFrame") -> VocabularyResults:
        """Fit to checkpoints; see the module for the columns.

        Raises
        ------
        InputError : missing columns, fewer than two sizes or three vocabularies, or an anchor budget that no
            run reaches.
        """
        frame = check_checkpoints(frame)
        sizes = frame.drop_duplicates("params_non_vocab").sort_values("params_non_vocab")
        n_nv, width = sizes["params_non_vocab"].to_numpy(float), sizes["d_model"].to_numpy(float)
        smallest = [
            run.sort_values("flops") for _, run in frame[frame["params_non_vocab"] == n_nv[0]].groupby(RUN)
        ]
        at = [
            np.interp(math.log(self.anchor_flops), np.log(run["flops"]), run[LOSS], left=np.inf, right=np.inf)
            for run in smallest
        ]
        if not np.isfinite(at).any():
            raise InputError(f"anchor_flops = {self.anchor_flops:g}: no run of the smallest size reaches it")
        log_v = np.log(frame["vocab_size"].to_numpy(float))
        ratio = (
            frame["flops"]
            / 6
            / (frame["params_non_vocab"] + frame["params_vocab"])
            / frame["train_characters"]
        ).to_numpy()
        cluster = frame.groupby(RUN).ngroup().to_numpy()
        groups = [int(run["vocab_size"].iloc[0]) for run in smallest]

        def solve(weights: np.ndarray) -> tuple[DerivativeCoefficients, np.ndarray]:
            compression = fit_compression(frame["vocab_size"], ratio, weights=weights)
            cheapest = np.array(
                [
                    cheapest_vocabulary(n, d, compression=compression) * d
                    for n, d in zip(n_nv, width, strict=True)
                ]
            )
            x, y = np.log(n_nv[1:] / n_nv[0]), np.log(cheapest[1:] / cheapest[0])
            gamma = float(x @ y / (x @ x))
            present = {
                v
                for v, w, n in zip(frame["vocab_size"], weights, frame["params_non_vocab"], strict=True)
                if w and n == n_nv[0]
            }
            known = [loss if v in present else np.inf for v, loss in zip(groups, at, strict=True)]
            anchor = float(groups[int(np.argmin(known))] * width[0])
            return DerivativeCoefficients(gamma, float(n_nv[0]), anchor, compression), gamma * x - y

        coefficients, residuals = solve(np.ones(len(frame)))
        draws = []
        for weights in cluster_weights(cluster, self.draws, self.seed) if self.draws else []:
            if len(set(log_v[weights > 0])) >= 3:
                draws.append(solve(weights.astype(float))[0])
        return summarize_fit(2, coefficients, tuple(draws), len(frame), cluster.max() + 1, residuals)


def fit_compression(
    vocab_size: "ArrayLike", ratio: "ArrayLike", *, weights: "ArrayLike | None" = None
) -> tuple[float, float, float]:
    """a, b, c of tokens per character f(V) = a·ln²V + b·ln V + c by least squares.

    Parameters
    ----------
    vocab_size : (n,) entries, at least three distinct.
    ratio : (n,) tokens per character.
    weights : (n,) of the rows; one each by default.
    """
    log_v, ratio = np.log(np.asarray(vocab_size, float)), np.asarray(ratio, float)
    if log_v.shape != ratio.shape or len(np.unique(log_v)) < 3:
        raise InputError(
            f"vocab_size, ratio: {log_v.shape} and {ratio.shape}, must be equally many, three sizes at least"
        )
    root = np.sqrt(np.ones(len(log_v)) if weights is None else np.asarray(weights, float))
    design = np.stack([log_v**2, log_v, np.ones_like(log_v)], axis=1) * root[:, None]
    a, b, c = np.linalg.lstsq(design, ratio * root, rcond=None)[0]
    return float(a), float(b), float(c)
