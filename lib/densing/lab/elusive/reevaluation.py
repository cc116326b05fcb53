"""Asking the family's checkpoints the multiple-choice questions again, with as many choices as wanted."""

from collections.abc import Sequence

import pandas as pd

from densing.checks import check_choices
from densing.data.tokenizers import load_tokenizer
from densing.evaluation.capability.battery import evaluate
from densing.evaluation.capability.questions import CHOICE_FAMILIES
from densing.lab.reference.recipe import REFERENCE_TOKENS, SIZES, TOKENIZER
from densing.lab.reference.store import load_reference

#: Committed checkpoints that span size at one budget and, at one size, the budget (size, tokens, seed).
COMMITTED = (
    *((size, REFERENCE_TOKENS, 0) for size in SIZES),
    *(("d0.2M", tokens, 0) for tokens in (500_000, 1_000_000, 2_000_000, 8_000_000)),
)


def reevaluate_choices(
    members: Sequence[tuple[str, int, int]] = COMMITTED,
    *,
    families: Sequence[str] = CHOICE_FAMILIES,
    items: int = 60,
    choices: int = 4,
    seed: int = 0,
    device: str = "cpu",
) -> pd.DataFrame:
    """Item rows of committed checkpoints, evaluated here and now.

    Parameters
    ----------
    members : size, tokens and seed of each checkpoint.
    families : of multiple-choice questions.
    items : questions a family, 20 to 5,000.
    choices : 2, 4 or 8; those of fewer choices are among those of more.
    seed : of the questions.
    device : where to evaluate.

    Returns
    -------
    Rows with the columns of `load_reference_items`, unrounded.
    """
    check_choices("families", families, CHOICE_FAMILIES)
    tokenizer = load_tokenizer(TOKENIZER)
    parts = []
    for size, tokens, run in members:
        model = load_reference(size, tokens, run).to(device)
        frame = evaluate(
            model, tokenizer, families, items=items, choices=choices, seed=seed, device=device
        ).rename(columns={"tokens": "answer_tokens"})
        about = {"size": size, "n_parameters": SIZES[size].n_parameters, "seed": run, "tokens": tokens}
        parts.append(frame.assign(**about))
    return pd.concat(parts, ignore_index=True)
