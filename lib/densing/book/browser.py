"""Chromium and a local server: what it takes to look at the rendered book as a reader does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

#: Widths and heights in pixels at which the book must read well.
SCREENS = {"phone": (390, 844), "desktop": (1440, 900)}
THEMES = ("light", "dark")

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # pages must do without other hosts
)


def find_chromium() -> str | None:
    """Path of a Chromium: ``$CHROMIUM``, else the first of the usual names on the path, else None."""
    named = os.environ.get("CHROMIUM")
    return next((path for name in (named, *_NAMES) if name and (path := shutil.which(name))), None)


@contextmanager
def open_browser() -> "Iterator[Browser]":
    """A headless Chromium, closed at the end.

    Raises
    ------
    FileNotFoundError : when no Chromium is found.
    """
    from playwright.sync_api import sync_playwright

    executable = find_chromium()
    if executable is None:
        raise FileNotFoundError(f"no Chromium: set $CHROMIUM or install one of {', '.join(_NAMES)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def new_context(browser: "Browser", screen: str, theme: str = "light") -> "BrowserContext":
    """A fresh reader with one of `SCREENS` whose system prefers the light or the dark theme."""
    width, height = SCREENS[screen]
    return browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)


def settle(page: "Page") -> None:
    """Wait until fonts are loaded and mathematics is typeset."""
    page.evaluate(
        """async () => {
            if (window.MathJax && MathJax.startup) await MathJax.startup.promise;
            await document.fonts.ready;
            await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
        }"""
    )


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve `folder` on a free local port for a while; yields the address, without a final slash."""
    handler = partial(_QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def html_pages(folder: Path) -> list[str]:
    """Pages below `folder`, as addresses relative to it; the themes' own snippets in ``_static`` are none."""
    pages = (path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))
    return sorted(page for page in pages if not page.startswith("_static/"))


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        """Say nothing about each request."""
