"""Screenshots of the rendered book, for maintainers to look at: ``python -m densing.book.screenshots``."""

import argparse
from pathlib import Path

from densing.book.browser import SCREENS, THEMES, html_pages, new_context, open_browser, serve, settle
from densing.data.paths import repository_root
from densing.errors import InputError


def take_screenshots(html: Path, output: Path, pages: list[str] | None = None) -> list[Path]:
    """Photograph pages in full length, on each screen and in each theme.

    Parameters
    ----------
    html : folder of the rendered book.
    output : folder for ``<page>-<screen>-<theme>.png``; made if absent.
    pages : parts of addresses to select by (``densing_law``); None means every page.

    Returns
    -------
    The files written.

    Raises
    ------
    InputError : when a part selects no page.
    """
    found = html_pages(html)
    for part in pages or []:
        if not any(part in page for page in found):
            raise InputError(
                f"pages: {part!r} is in no address of {html}; there are {', '.join(found) or 'none'}"
            )
    chosen = [page for page in found if pages is None or any(part in page for part in pages)]
    output.mkdir(parents=True, exist_ok=True)
    files = []
    with serve(html) as address, open_browser() as browser:
        for screen in SCREENS:
            for theme in THEMES:
                with new_context(browser, screen, theme) as context:
                    tab = context.new_page()
                    for page in chosen:
                        tab.goto(f"{address}/{page}")
                        settle(tab)
                        name = page.removesuffix(".html").replace("/", "-")
                        files.append(output / f"{name}-{screen}-{theme}.png")
                        tab.screenshot(path=files[-1], full_page=True)
    return files


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m densing.book.screenshots", description=__doc__)
    parser.add_argument("--pages", nargs="+", metavar="PART", help="only pages with PART in their address")
    parser.add_argument("--html", type=Path, help="rendered book (default: _build/html)")
    parser.add_argument("--output", type=Path, help="where to write (default: _build/screens)")
    options = parser.parse_args(arguments)
    build = Path("_build") if options.html and options.output else repository_root() / "_build"
    try:
        files = take_screenshots(
            options.html or build / "html", options.output or build / "screens", options.pages
        )
    except (InputError, FileNotFoundError) as error:
        parser.error(str(error))
    print(*files, sep="\n")


if __name__ == "__main__":
    main()
