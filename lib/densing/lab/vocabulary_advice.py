"""A vocabulary for a reader's own text and budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from densing.checks import check_range
from densing.data.tokenizers import compression_curve
from densing.errors import InputError
from densing.fitters.vocabulary_size.derivative import fit_compression
from densing.fitters.vocabulary_size.results import VocabularyResults
from densing.laws.vocabulary_size import RELEASED, cheapest_vocabulary, embedding_width, optimal_vocabulary


@dataclass(frozen=True)
class VocabularyAdvice:
    """What `advise_vocabulary` found.

    Attributes
    ----------
    curve : vocabulary size to tokens per character of held-out parts of the text.
    compression : a, b, c of the text's own f(V).
    n_nv, width : size and embedding width of the compute-optimal model at the budget (released approach 1).
    table : recommended vocabularies by estimator.
    """

    curve: dict[int, float]
    compression: tuple[float, float, float]
    n_nv: float
    width: int
    table: pd.DataFrame


def read_paragraphs(path: str | Path) -> list[str]:
    """Paragraphs of a UTF-8 text file, separated by empty lines.

    Raises
    ------
    InputError : no such file, or one that is not UTF-8 text.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"text_file = {str(path)!r}: must be a UTF-8 text file ({error})") from error
    return [part for part in text.split("\n\n") if part.strip()]


def advise_vocabulary(
    texts: Sequence[str], flops: float, vocab_sizes: Sequence[int], fit: VocabularyResults | None = None
) -> VocabularyAdvice:
    """Measure tokens per character of `texts`, and recommend a vocabulary for a training budget.

    Approach 2 is rescaled by what the text's own f(V) does to the cheapest vocabulary; approach 3 does not
    depend on f(V) once the FLOPs are given.

    Parameters
    ----------
    texts : at least five; the more text, the further the curve can be measured.
    flops : training budget, > 0; the model is the compute-optimal one.
    vocab_sizes : entries to try; those that the texts do not support are left out, three must remain.
    fit : results of approach 3, for a refitted recommendation with an interval.

    Raises
    ------
    InputError : bad values, too little text.
    """
    check_range("flops", flops, 0, open_low=True)
    n_nv = float(np.exp(RELEASED[1].k_nv) * flops**0.5)
    width = embedding_width(n_nv)
    curve = compression_curve(texts, vocab_sizes)
    if len(curve) < 3:
        raise InputError(
            f"texts: support vocabularies up to {max(curve)} entries only; three sizes are needed"
        )
    compression = fit_compression(list(curve), list(curve.values()))
    try:
        cheapest = cheapest_vocabulary(n_nv, width, compression=compression)
    except InputError:
        cheapest = np.inf
    if cheapest <= max(curve):
        by_text = optimal_vocabulary(n_nv, approach=2) * cheapest / cheapest_vocabulary(n_nv, width)
        first = f"{by_text:,.0f}"
    else:
        first = f"not measurable: beyond the {max(curve):,} entries that the text supports"
    rows = [
        ("derivative, with the f(V) of this text", first, ""),
        ("parametric, released constants", f"{optimal_vocabulary(n_nv, flops):,.0f}", ""),
    ]
    if fit is not None:
        found = fit.optimal_vocabulary(n_nv, flops)
        interval = f"{found.lower:,.0f} to {found.upper:,.0f}"
        rows.append(("parametric, refit with true tokens", f"{found.value:,.0f}", interval))
    table = pd.DataFrame(rows, columns=["estimator", "V", "95 % interval"])
    return VocabularyAdvice(curve, compression, n_nv, width, table)
