"""``densing run``."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

_FLAGS = ("-p", "--parameter")


def join_pairs(arguments: list[str]) -> list[str]:
    """``-p NAME VALUE`` as ``-p NAME=VALUE``: an option of the parser takes one word. `InputError` if one lacks."""
    from densing.errors import InputError

    joined, words = [], iter(arguments)
    for word in words:
        joined.append(word)
        if word in _FLAGS:
            name = next(words, None)
            value = None if name is None or "=" in name else next(words, None)
            if name is None or ("=" not in name and value is None):
                raise InputError(f"{word}: must be followed by NAME and VALUE")
            joined.append(name if value is None else f"{name}={value}")
    return joined


def run(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="The chapter; `densing list` shows them.")],
    scale: Annotated[str | None, typer.Option(help="quick, book or full.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "-p", "--parameter", metavar="NAME VALUE", help="Replace a default of the parameters cell."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the notebook and its results; default _build/run/SLUG.")
    ] = None,
) -> None:
    """Run one chapter and show what it measured against its claims."""
    from densing.book.chapters import SCALES, check_overrides, find_chapter
    from densing.book.claims import load_claims
    from densing.book.cli.listing import print_verdicts
    from densing.book.execute import execute_chapter
    from densing.book.ledger import ledger_rows
    from densing.book.results import load_results
    from densing.checks import check_choice
    from densing.data.paths import repository_root
    from densing.errors import InputError

    chapter = find_chapter(slug)
    given = dict(pair.split("=", 1) for pair in parameter or [])
    check_overrides(chapter, given)
    parameters = {name: _value(chapter, name, text) for name, text in given.items()}
    if scale is not None:
        check_choice("--scale", scale, SCALES)
        parameters["scale"] = scale
    folder = output or repository_root() / "_build" / "run" / slug
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output = {str(folder)!r}: must be a folder")
    notebook = execute_chapter(
        chapter, folder, parameters=parameters, progress=sys.stderr.isatty(), working_folder=Path.cwd()
    )
    results = load_results(folder / f"{slug}.json")
    rows = ledger_rows([claim for claim in load_claims() if claim.chapter == slug], [results])

    if rows:
        print_verdicts(rows)
    print(f"notebook {notebook}\nresults  {folder / f'{slug}.json'}")


def _value(chapter, name: str, text: str) -> object:
    """`text` as a value: as it stands where the default is text, else as YAML (numbers, 3e9 too, true, [lists])."""
    import yaml

    from densing.errors import InputError

    default = chapter.parameters.get(name)
    if isinstance(default, str):
        return text
    try:
        value = yaml.safe_load(text)
        if isinstance(value, str) and type(default) in (int, float):
            with suppress(ValueError):
                number = float(value)  # YAML 1.1 reads 3e9 as text
                return int(number) if type(default) is int and number.is_integer() else number
        return value
    except yaml.YAMLError:
        raise InputError(f"-p {name} {text!r}: must be a number, true, false, text or a [list]") from None
