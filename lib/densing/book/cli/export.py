"""``densing export``: a checkpoint for the transformers library."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE", help="A size of the family (d0.2M), or a safetensors checkpoint."
        ),
    ],
    to: Annotated[Path, typer.Option("--to", help="Folder: new, empty or an earlier export.")],
    tokens: Annotated[float, typer.Option(help="Budget of the family's member.")] = 4e6,
    seed: Annotated[int, typer.Option(help="Seed of the family's member.")] = 0,
    tokenizer: Annotated[
        str | None, typer.Option(help="bpe-V, or a tokenizer.json; default what the checkpoint names.")
    ] = None,
    stage: Annotated[str, typer.Option(help="branch (decayed) or trunk.")] = "branch",
) -> None:
    """Write a checkpoint so that AutoModelForCausalLM and AutoTokenizer load it."""
    from densing.checks import check_range
    from densing.lab import export_checkpoint

    check_range("--tokens", tokens, 1, 1e15, integer=True)
    check_range("--seed", seed, 0, integer=True)
    folder = export_checkpoint(
        checkpoint, to, tokens=int(tokens), seed=seed, tokenizer=tokenizer, stage=stage
    )
    print(f"wrote {folder}")
