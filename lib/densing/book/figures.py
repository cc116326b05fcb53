"""One figure style for the book: colour-blind safe, opaque and light, drawn at twice the size it is shown at."""

import base64
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from densing.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, told apart under the common kinds of colour blindness, and two neutrals.
PALETTE = {
    "blue": "#0072B2",
    "orange": "#E69F00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "vermilion": "#D55E00",
    "ink": "#22272e",
    "gray": "#7a828c",
}

_WIDTH = 5.2  # inches: legible when shrunk to a phone's 350 px
_SHOWN_DPI = 120  # 5.2 in are shown 624 px wide
_DENSITY = 2  # image pixels for one shown pixel

_STYLE = {
    "figure.figsize": (_WIDTH, 3.5),
    "figure.dpi": _SHOWN_DPI,
    "savefig.dpi": _SHOWN_DPI * _DENSITY,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.edgecolor": PALETTE["gray"],
    "axes.labelcolor": PALETTE["ink"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "grid.color": "#e3e6ea",
    "grid.linewidth": 0.7,
    "text.color": PALETTE["ink"],
    "xtick.color": PALETTE["ink"],
    "ytick.color": PALETTE["ink"],
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "font.size": 10.5,
    "font.family": "DejaVu Sans",
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "mathtext.fontset": "dejavusans",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Within this context Matplotlib draws in the book's style."""
    import matplotlib as mpl

    with mpl.rc_context(_rc()):
        yield


def use_figure_style() -> None:
    """Make the book's style the default of this process."""
    import matplotlib as mpl

    mpl.rcParams.update(_rc())


def _rc() -> dict:
    from cycler import cycler

    order = ("blue", "orange", "green", "vermilion", "purple", "sky", "ink")
    return _STYLE | {"axes.prop_cycle": cycler(color=[PALETTE[c] for c in order])}


def figure_bundle(figure: "Figure", *, name: str, caption: str, alt: str) -> tuple[dict, dict]:
    """The display data and metadata of `figure`, and close it.

    Parameters
    ----------
    name : kebab-case, unique in its chapter; the figure can be linked as ``fig-<slug>-<name>``.
    caption : Markdown shown under the figure.
    alt : what a reader who does not see the figure must know.

    Returns
    -------
    data : MIME type to content (base64 PNG and the alternative text).
    metadata : ``{"densing": {"figure": ...}}``, from which staging sets caption and alternative text.

    Raises
    ------
    InputError : when name, caption or alt is empty, or alt repeats the caption.
    """
    import matplotlib.pyplot as plt

    for key, value in (("name", name), ("caption", caption), ("alt", alt)):
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{key} = {value!r}: a figure needs a non-empty {key}")
    if not name.replace("-", "").isalnum() or name != name.lower():
        raise InputError(f"name = {name!r}: must be lower-case words joined by '-'")
    if " ".join(alt.split()) == " ".join(caption.split()):
        raise InputError("alt: must say what the figure shows, not repeat the caption")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_SHOWN_DPI * _DENSITY, metadata={"Software": None})
    plt.close(figure)
    content = buffer.getvalue()
    # a PNG's width stands in bytes 16 to 20
    width = int.from_bytes(content[16:20], "big") // _DENSITY
    described = {
        "name": name,
        "caption": " ".join(caption.split()),
        "alt": " ".join(alt.split()),
        "width": width,
    }
    data = {"image/png": base64.b64encode(content).decode(), "text/plain": described["alt"]}
    return data, {"densing": {"figure": described}}


def page_figures(notebook: Path) -> dict[str, tuple[dict, dict]]:
    """Display data and metadata of every described figure in an executed notebook, by name; none where it is absent."""
    if not notebook.is_file():
        return {}
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    found = {}
    for output in (o for cell in cells for o in cell.get("outputs", ())):
        figure = output.get("metadata", {}).get("densing", {}).get("figure")
        if figure:
            data = {kind: "".join(content) for kind, content in output["data"].items()}
            found[figure["name"]] = (data, output["metadata"])
    return found
