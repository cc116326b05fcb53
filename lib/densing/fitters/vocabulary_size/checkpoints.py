"""Checkpoints of runs with several vocabularies, checked: the table that every estimator takes.

One row a checkpoint, with the columns of the public table of Tao et al. (2024): vocab_size, d_model,
params_non_vocab, params_vocab, train_characters, flops, unigram_normalised_loss_nats. Checkpoints of one run
(equal sizes) are one cluster. A column `tokens`, where there is one, holds counted tokens and replaces
H·f(V).
"""

from typing import TYPE_CHECKING

import numpy as np

from densing.checks import check_columns
from densing.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

LOSS = "unigram_normalised_loss_nats"
RUN = ["params_non_vocab", "vocab_size"]


def check_checkpoints(frame: "pd.DataFrame") -> "pd.DataFrame":
    """`frame` itself, if an estimator can use it.

    Raises
    ------
    InputError : missing columns, a number that is not finite or not above 0 (names column and row), fewer
        than two sizes or three vocabularies.
    """
    needed = [*RUN, "d_model", "params_vocab", "train_characters", "flops", LOSS]
    check_columns("frame", frame.columns, needed)
    for name in needed:
        values = frame[name].to_numpy(float)
        bad = ~np.isfinite(values) if name == LOSS else ~(np.isfinite(values) & (values > 0))
        if bad.any():
            raise InputError(
                f"frame: {name} = {values[bad][0]} in row {int(np.flatnonzero(bad)[0])}, must be finite and above 0"
            )
    for name, least in (("params_non_vocab", 2), ("vocab_size", 3)):
        if frame[name].nunique() < least:
            raise InputError(
                f"frame: {frame[name].nunique()} distinct values of {name}, must be at least {least}"
            )
    return frame
