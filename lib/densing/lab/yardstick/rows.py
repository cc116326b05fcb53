"""The reference family's rows as the yardstick reads them: checked, and held as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.checks import check_columns
from densing.errors import InputError

#: Reported loss of the family, in bits per UTF-8 byte of the reporting split.
METRIC = "bits_per_byte_val_b"
#: Nominal budget of the reference curve, in tokens.
REFERENCE_TOKENS = 4_000_000
#: The family's own tokenizer: rows under other vocabularies are other families.
TOKENIZER = "bpe-1024"

# What a row is, not what was measured on it.
_CONFIGURATION = {
    "size", "width", "layers", "heads", "ff_width", "n_parameters", "n_total", "vocab_size", "tokenizer", "tokens",
    "seed", "rate", "batch_tokens", "digest", "row", "seconds", "peak_memory_mb", "versions", "commit", "stage",
    "plan", "corpus", "skills_share", "decay_share", "warmup_share", "branch",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class ReferenceRows:
    """Losses of a family of models.

    Attributes
    ----------
    size, seed : labels (n,). A seed fixes the order of the data, which all sizes of that seed share.
    n_parameters, tokens : (n,). log_loss : natural logarithm of the metric (n,).
    metric : name of the column the losses were read from.
    """

    size: NDArray
    seed: NDArray
    n_parameters: NDArray
    tokens: NDArray
    log_loss: NDArray
    metric: str

    def __len__(self) -> int:
        return len(self.log_loss)

    def take(self, kept: NDArray) -> "ReferenceRows":
        """The rows where `kept` (n,) is true."""
        parts = (self.size, self.seed, self.n_parameters, self.tokens, self.log_loss)
        return ReferenceRows(*(part[kept] for part in parts), self.metric)

    def with_losses(self, log_loss: NDArray) -> "ReferenceRows":
        """The same runs with other losses."""
        return ReferenceRows(
            self.size, self.seed, self.n_parameters, self.tokens, np.asarray(log_loss, float), self.metric
        )

    def at(self, tokens: float) -> "ReferenceRows":
        """The rows of one budget."""
        return self.take(self.tokens == tokens)

    @property
    def budgets(self) -> list[float]:
        """Budgets in tokens, rising."""
        return np.unique(self.tokens).tolist()

    @property
    def sizes(self) -> pd.Series:
        """Number of parameters by size, rising."""
        return pd.Series(self.n_parameters, index=self.size).groupby(level=0).first().sort_values()

    @property
    def seeds(self) -> list:
        """Labels of the seeds, in order."""
        return np.unique(self.seed).tolist()


def read_reference(
    reference: pd.DataFrame | None = None,
    metric: str = METRIC,
    *,
    size: str = "size",
    n_parameters: str = "n_parameters",
    tokens: str = "tokens",
    seed: str = "seed",
) -> ReferenceRows:
    """Check a family's table and read what a curve needs.

    Parameters
    ----------
    reference : one row a size, seed and budget, losses of decayed branches; None: the recorded family.
    metric : column of the loss; any unit, the same as the variant's.
    size, n_parameters, tokens, seed : columns that hold these. Without the seed's column all rows are of one seed.

    Raises
    ------
    InputError : a missing column or metric (lists the metrics there are), a value that is not a positive finite
        number, two rows of one run and budget, a size with two numbers of parameters, rows of several tokenizers or
        of undecayed trunks.
    """
    frame = recorded_family() if reference is None else reference
    if not isinstance(frame, pd.DataFrame):
        raise InputError(f"reference = {type(frame).__name__}: must be a pandas DataFrame of runs")
    check_columns("reference", frame.columns, [size, n_parameters, tokens])
    if metric not in frame.columns:
        raise InputError(f"metric = {metric!r}: the reference has {', '.join(metrics_of(frame)) or 'none'}")
    _check_one_family(frame)
    labels = frame[size].to_numpy()
    seeds = frame[seed].to_numpy() if seed in frame.columns else np.zeros(len(frame), int)
    numbers = {name: _positive(frame, name, [size, seed, tokens]) for name in (n_parameters, tokens, metric)}
    counts = pd.Series(numbers[n_parameters]).groupby(labels).nunique()
    if (counts > 1).any():
        raise InputError(f"reference: size {counts.idxmax()!r} has more than one {n_parameters}")
    keys = pd.DataFrame({"size": labels, "seed": seeds, "tokens": numbers[tokens]})
    if keys.duplicated().any():
        twice = keys[keys.duplicated()].iloc[0]
        raise InputError(
            f"reference: size {twice['size']!r}, seed {twice['seed']!r}, {twice['tokens']:g} tokens stands there twice"
        )
    return ReferenceRows(
        labels, seeds, numbers[n_parameters], numbers[tokens], np.log(numbers[metric]), metric
    )


def recorded_family() -> pd.DataFrame:
    """The recorded rows of the reference family under its own tokenizer."""
    from densing.lab import load_reference_runs

    frame = load_reference_runs()
    return frame[frame["tokenizer"] == TOKENIZER] if "tokenizer" in frame.columns else frame


def metrics_of(frame: pd.DataFrame) -> list[str]:
    """Numeric columns of a family's table that are measurements."""
    return [
        name
        for name in frame.columns
        if name not in _CONFIGURATION and pd.api.types.is_numeric_dtype(frame[name])
    ]


def _check_one_family(frame: pd.DataFrame) -> None:
    for column, what in (("tokenizer", "tokenizers"), ("vocab_size", "vocabulary sizes")):
        if column in frame.columns and frame[column].nunique() > 1:
            found = ", ".join(map(str, frame[column].unique()))
            raise InputError(
                f"reference: holds rows of several {what}, {found}; the curve belongs to one, keep its rows"
            )
    if "stage" in frame.columns and (frame["stage"] == "trunk").any():
        raise InputError(
            "reference: holds undecayed trunks, which are worse than decayed branches by construction; "
            'keep the rows with stage == "branch"'
        )


def _positive(frame: pd.DataFrame, column: str, about: Sequence[str]) -> NDArray:
    numbers = pd.to_numeric(frame[column], errors="coerce").to_numpy(float)
    bad = ~(np.isfinite(numbers) & (numbers > 0))
    if bad.any():
        at = int(np.argmax(bad))
        where = ", ".join(f"{name} {frame[name].iloc[at]}" for name in about if name in frame.columns)
        raise InputError(
            f"reference: {column} = {frame[column].iloc[at]} ({where}) must be a finite number above 0"
        )
    return numbers
