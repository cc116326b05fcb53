"""``densing reference``: ladders of models to measure others against."""

from pathlib import Path
from typing import Annotated

import typer

reference = typer.Typer(
    help="Ladders of small models: train one on your own text, or record the book's.",
    no_args_is_help=True,
    add_completion=False,
)


@reference.callback()
def _group() -> None:
    """Ladders of small models: train one on your own text."""


@reference.command("train")
def train(
    corpus: Annotated[Path, typer.Option(help="Folder of .txt, .md, .py and .jsonl files, 1 MB or more.")],
    sizes: Annotated[str, typer.Option(help="Sizes of the family, joined by commas: d0.05M,d0.2M.")],
    budgets: Annotated[str, typer.Option(help="Tokens, rising, joined by commas: 1e6,4e6.")],
    to: Annotated[
        Path, typer.Option("--to", help="Folder of the ladder: new, empty, or to be gone on with.")
    ],
    seeds: Annotated[int, typer.Option(help="Runs of each size.")] = 1,
    vocabulary: Annotated[int, typer.Option(help="Entries of the tokenizer trained on the corpus.")] = 1024,
    allow_repeat: Annotated[
        bool, typer.Option("--allow-repeat", help="Train on for more tokens than the corpus has.")
    ] = False,
    processes: Annotated[int, typer.Option(help="Runs at a time, each of one thread.")] = 1,
    device: Annotated[str, typer.Option(help="cpu, cuda, mps: where to train.")] = "cpu",
) -> None:
    """Train a ladder on your own text: rows, law and checkpoints."""
    import sys
    import warnings

    from densing.book.cli.fit import parse_numbers
    from densing.lab import ladder_law, train_ladder

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        ladder = train_ladder(
            corpus,
            to,
            sizes=[name.strip() for name in sizes.split(",")],
            budgets=parse_numbers("--budgets", budgets),
            seeds=seeds,
            vocab_size=vocabulary,
            allow_repeat=allow_repeat,
            processes=processes,
            device=device,
        )
        law = ladder_law(ladder)
    for text in dict.fromkeys(" ".join(str(w.message).split()) for w in caught):
        print(f"densing: warning: {text}", file=sys.stderr)
    table = ladder.frame.pivot_table(index=["n_parameters", "size"], columns="tokens", values="bits_per_byte")
    table.columns = [f"{tokens / 1e6:g}M tokens" for tokens in table.columns]
    print("\nBits per byte on the validation texts, mean over seeds")
    print(table.reset_index("n_parameters", drop=True).to_string(float_format="{:.4f}".format, na_rep="-"))
    shown = ", ".join(f"{name} = {value:.4g}" for name, value in law["params"].items())
    print(f"\nlaw       {law['kind']}{': ' + shown if shown else ''}")
    for note in law["notes"]:
        print(f"note      {note}")
    print(f"wrote     {ladder.folder}: ladder.csv, law.json, tokenizer.json, checkpoints under runs")


@reference.command("record")
def record(
    stages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STAGE]...", help="family, cosine, siblings, trial, tuning, trajectory; all."
        ),
    ] = None,
    processes: Annotated[int, typer.Option(help="Runs at a time, each of one thread.")] = 2,
) -> None:
    """Record the book's own family: trains what is missing, goes on where it was stopped."""
    from densing.lab import record

    record(tuple(stages or ()), processes=processes)
