"""``densing list`` and ``densing ledger``."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from densing.book.ledger import LedgerRow


def list_chapters(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON: slug, part, title, systems, claims.")
    ] = False,
) -> None:
    """List the chapters."""
    from densing.book.chapters import find_chapters
    from densing.book.claims import load_claims

    chapters, claims = find_chapters(), load_claims()
    rows = [
        {
            "slug": chapter.slug,
            "part": chapter.part,
            "title": chapter.title,
            "systems": list(chapter.systems),
            "claims": [claim.id for claim in claims if claim.chapter == chapter.slug],
        }
        for chapter in chapters
    ]
    if as_json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("slug", "part", "title", "systems", "claims", box=None, header_style="bold")
    for row in rows:
        systems = ", ".join(map(str, row["systems"])) or "–"
        table.add_row(row["slug"], row["part"], row["title"], systems, str(len(row["claims"])))
    Console().print(table)


def ledger(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a claim.")] = False,
) -> None:
    """Show every registered claim, what was measured, and the verdict."""
    from densing.book.ledger import committed_ledger

    rows = committed_ledger()
    if as_json:
        print(json.dumps([row.as_dict() for row in rows], indent=1, ensure_ascii=False))
        return
    print_verdicts(rows)


def print_verdicts(rows: "Sequence[LedgerRow]") -> None:
    """Print claims against measurements, one line a claim."""
    from rich.console import Console
    from rich.table import Column, Table

    columns = (Column("claim", no_wrap=True), "published", "measured", Column("verdict", min_width=10))
    table = Table(*columns, box=None, header_style="bold")
    for row in rows:
        table.add_row(row.claim.id, row.claim.published["text"], row.measured_text, row.verdict)
    Console().print(table)
