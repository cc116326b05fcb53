"""What a running chapter holds on to: its parameters, its figures, its measurements."""

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from densing.book.chapters import SCALES, find_chapter
from densing.book.claims import load_claims
from densing.book.figures import figure_bundle, page_figures, use_figure_style
from densing.book.results import load_results, measured_number, write_results
from densing.checks import check_choice, check_device, check_flag, check_range
from densing.data.paths import output_folder, repository_root
from densing.errors import ExternalDataMissing, InputError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

T = TypeVar("T")


def open_chapter(
    slug: str, *, scale: str, seed: int, device: str = "cpu", fresh: bool = False
) -> "ChapterSession":
    """Begin a chapter: check the parameters that every chapter has, and set the figure style.

    Raises
    ------
    InputError : names the parameter, the value and what is allowed.
    """
    check_choice("scale", scale, SCALES)
    check_range("seed", seed, 0, 2**32 - 1, integer=True)
    check_flag("fresh", fresh)
    check_device(device)
    random.seed(seed)
    use_figure_style()
    return ChapterSession(slug, scale=scale, seed=seed, device=device, fresh=fresh)


class ChapterSession:
    """One run of a chapter; made by `open_chapter`.

    Attributes
    ----------
    slug, scale, seed, device, fresh : as given.
    absent : the error that the loader raised when a table was not there, set by the chapter; see `show`.
    """

    def __init__(self, slug: str, *, scale: str, seed: int, device: str, fresh: bool):
        self.slug, self.scale, self.seed, self.device, self.fresh = slug, scale, seed, device, fresh
        self._source = find_chapter(slug)
        self._claims = {claim.id: claim for claim in load_claims() if claim.chapter == slug}
        self._measurements: dict[str, dict] = {}
        self._recorded: list[str] = []
        self._figures: set[str] = set()
        self.absent: ExternalDataMissing | None = None

    def pick(self, *, quick: T, book: T, full: T) -> T:
        """The value that belongs to this run's scale."""
        return {"quick": quick, "book": book, "full": full}[self.scale]

    def show(
        self,
        figure: "Figure | Callable[[], Figure]",
        *,
        name: str,
        caption: str,
        alt: str,
    ) -> None:
        """Put out `figure` with its caption and alternative text, and close it; see `figure_bundle`.

        Parameters
        ----------
        figure : or a function that makes it: while a table is `absent`, it is not called and the committed page's
            figure is shown.
        name, caption, alt : as for `figure_bundle`.
        """
        from IPython.display import display

        if callable(figure):
            if self.absent is not None:
                self.recorded(self.absent, figures=(name,))
                return
            figure = figure()
        if name in self._figures:
            raise InputError(f"name = {name!r}: {self.slug} has a figure of this name already")
        data, metadata = figure_bundle(figure, name=name, caption=caption, alt=alt)
        self._figures.add(name)
        display(data, metadata=metadata, raw=True)

    def table(
        self,
        frame: "pd.DataFrame | Callable[[], pd.DataFrame]",
        *,
        caption: str,
    ) -> None:
        """Put out `frame` as a table with a caption; give it finished column names and formatted values.

        Parameters
        ----------
        frame : or a function that makes it: while a table is `absent`, it is not called and nothing is put out.
        caption : of the table.
        """
        from html import escape

        from IPython.display import display

        if not caption.strip():
            raise InputError(f"caption = {caption!r}: a table needs a caption")
        if callable(frame):
            if self.absent is not None:
                return
            frame = frame()
        body = frame.to_html(index=False, border=0, classes="densing-table", justify="left", na_rep="")
        body = body.replace("<thead>", f"<caption>{escape(caption)}</caption>\n<thead>", 1)
        body = body.replace("<th>", '<th scope="col">')
        display({"text/html": body, "text/plain": frame.to_string(index=False)}, raw=True)

    def measure(self, claim_id: str, **quantities: object) -> None:
        """Record what a claim's criterion needs.

        Parameters
        ----------
        claim_id : a claim registered for this chapter.
        quantities : for each quantity that the claim names, a number, a truth value or an `Estimate`.

        Raises
        ------
        InputError : an unknown or pending claim, one measured twice, or other quantities than the registered ones.
        """
        known = ", ".join(self._claims) or "(none)"
        if claim_id not in self._claims:
            raise InputError(f"claim_id = {claim_id!r}: {self.slug} has registered {known}")
        if claim_id in self._measurements:
            raise InputError(f"claim_id = {claim_id!r}: measured already in this run")
        expected = self._claims[claim_id].quantities
        if set(quantities) != set(expected):
            raise InputError(
                f"{claim_id}: measured {sorted(quantities)}; the registered quantities are {sorted(expected)}"
            )
        self._measurements[claim_id] = {q: measured_number(q, quantities[q]) for q in expected}

    def recorded(
        self, missing: ExternalDataMissing, *, figures: tuple[str, ...] = (), claims: tuple[str, ...] = ()
    ) -> None:
        """Say that a table is absent and show, in its place, what the committed page found with it.

        Parameters
        ----------
        missing : the error that the loader raised.
        figures : names of this chapter's figures to take from the committed page.
        claims : claims whose measurements are taken from the committed results, so that no verdict changes.

        Raises
        ------
        InputError : the committed page or results lack one of them.
        """
        from IPython.display import display

        table = str(missing).partition(":")[0]
        if table not in self._recorded:
            self._recorded.append(table)
        note = (
            f"**`{table}` is not on this machine.** What follows in this section was recorded when the page "
            f"was last run with it. To run it here: {missing}."
        )
        display({"text/markdown": f":::{{note}}\n{note}\n:::", "text/plain": note}, raw=True)
        committed = repository_root() / "data" / "results" / f"{self.slug}.json"
        if claims:
            old = load_results(committed)["measurements"] if committed.is_file() else {}
            for claim_id in claims:
                if claim_id not in old:
                    raise InputError(f"{claim_id}: no recorded measurement in {committed.name}")
                self._measurements[claim_id] = old[claim_id]
        shown = page_figures(self._source.notebook)
        for name in figures:
            if name not in shown:
                raise InputError(f"figures: {name!r} is not on the committed page of {self.slug}")
            data, metadata = shown[name]
            metadata["densing"]["figure"]["caption"] += " (recorded)"
            self._figures.add(name)
            display(data, metadata=metadata, raw=True)

    def save(self) -> None:
        """Write the results file; the runner adds the parameters and the seconds it took.

        Raises
        ------
        InputError : a claim of this chapter that is not pending was not measured.
        """
        left = [c.id for c in self._claims.values() if not c.pending and c.id not in self._measurements]
        if left:
            raise InputError(f"{self.slug}: registered and neither measured nor pending: {', '.join(left)}")
        results = {
            "chapter": self.slug,
            "scale": self.scale,
            "parameters": {},
            "measurements": self._measurements,
        }
        if self._recorded:
            results["recorded"] = self._recorded
        write_results(output_folder() / f"{self.slug}.json", results)
