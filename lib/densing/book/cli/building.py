"""``densing build``."""

from typing import Annotated

import typer


def build(
    slugs: Annotated[
        list[str] | None, typer.Argument(metavar="[SLUG]...", help="Chapters to run if stale; all.")
    ] = None,
    fresh: Annotated[bool, typer.Option(help="Run every chapter, stale or not.")] = False,
    scale: Annotated[
        str, typer.Option(help="book; another scale only runs the chapters, into _build/SCALE.")
    ] = "book",
    jobs: Annotated[
        int | None, typer.Option(help="Chapters at a time; default the cores, two at most.")
    ] = None,
    pages: Annotated[
        bool, typer.Option(help="Write executed notebooks and results back into the tree.")
    ] = False,
    render: Annotated[bool, typer.Option(help="Render to _build/html.")] = True,
    executor: Annotated[str | None, typer.Option(help="A Snakemake executor, such as slurm.")] = None,
    profile: Annotated[str | None, typer.Option(help="A Snakemake profile for that executor.")] = None,
) -> None:
    """Run stale chapters and render the book."""
    from densing.book.build import build_book
    from densing.book.chapters import SCALES
    from densing.checks import check_choice, check_range

    check_choice("--scale", scale, SCALES)
    if jobs is not None:
        check_range("--jobs", jobs, 1, 1024, integer=True)
    options = (["--executor", executor] if executor else []) + (["--profile", profile] if profile else [])
    status = build_book(
        fresh=fresh,
        scale=scale,
        only=slugs or (),
        jobs=jobs,
        pages=pages,
        render=render,
        engine_options=options,
    )
    raise typer.Exit(status)
