"""``densing bench``."""

from typing import Annotated

import typer


def bench(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Benchmarks; all.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds that count, at least 3.")] = 7,
    seconds: Annotated[float, typer.Option(help="Length of one turn.")] = 2.0,
) -> None:
    """Measure the book's own code side by side with its peers; run it on a quiet machine."""
    from densing.book.benchmarks import benchmark_tables
    from densing.lab.benchmarks.record import record_benchmarks

    print(benchmark_tables(record_benchmarks(names or (), rounds=rounds, seconds=seconds)))
