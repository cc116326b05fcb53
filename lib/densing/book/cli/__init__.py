"""The command line ``densing``: one module a command."""

import sys

import typer

from densing.book.cli.bench import bench
from densing.book.cli.building import build
from densing.book.cli.density import density
from densing.book.cli.export import export
from densing.book.cli.fetch import fetch
from densing.book.cli.fit import fit
from densing.book.cli.listing import ledger, list_chapters
from densing.book.cli.new import new
from densing.book.cli.reference import reference
from densing.book.cli.rows import rows
from densing.book.cli.run import join_pairs, run
from densing.errors import ChapterError, InputError

app = typer.Typer(
    help="The Densing Book: list, run and build its chapters; read the claims ledger.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("list")(list_chapters)
app.command("run")(run)
app.command("ledger")(ledger)
app.command("new")(new)
app.command("build")(build)
app.command("fit")(fit)
app.command("fetch")(fetch)
app.command("rows")(rows)
app.command("bench")(bench)
app.command("density")(density)
app.command("export")(export)
app.add_typer(reference, name="reference")


def main() -> None:
    """Entry point: what the caller got wrong ends with status 2 and one line on standard error."""
    try:
        app(join_pairs(sys.argv[1:]))
    except InputError as error:
        print(f"densing: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except ChapterError as error:
        print(f"densing: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("densing: interrupted; what has finished is kept", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
