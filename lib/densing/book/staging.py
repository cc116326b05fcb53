"""Staging: what Jupyter Book renders, put together from pages, executed notebooks, claims and results.

Nothing is executed here. Files are written only when their content changes, so that rendering stays incremental.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import yaml

from densing.book import fragments
from densing.book.benchmarks import benchmark_tables
from densing.book.claims import load_claims
from densing.book.freshness import Page
from densing.book.ledger import LedgerRow, ledger_csv, ledger_rows, load_systems
from densing.book.results import load_results, write_atomically
from densing.data.provenance import file_digest
from densing.data.published import external_tables
from densing.errors import InputError
from densing.lab.benchmarks.record import load_benchmarks

#: Rooms of the library in the direction data flows: a room imports from itself and the rooms before it.
ROOMS = (
    "data", "laws", "models", "fitters", "training", "adaptation", "compression", "selection", "evaluation",
    "systems", "lab", "book",
)  # fmt: skip
_CLAIMS = "<!-- densing:claims -->"


def stage_book(root: Path, stage: Path, pages: Sequence[Page]) -> str:
    """Put the book's source together in `stage`, and take away what no longer belongs there.

    Parameters
    ----------
    pages : the page to show for each chapter, in reading order.

    Returns
    -------
    Digest of everything staged: the same digest renders the same book.

    Raises
    ------
    InputError : a chapter that is missing from ``_toc.yml``, a figure without alternative text, or a page without a
        place for its claims.
    """
    shown = [page for page in pages if page.notebook.is_file()]
    results = [load_results(page.results) for page in shown if page.results.is_file()]
    rows = ledger_rows(load_claims(root / "data" / "claims.yml"), results)
    systems = load_systems(root)
    files: dict[str, str | Path] = {}
    for name in ("_config.yml", "references.bib"):
        files[name] = (root / name).read_text(encoding="utf-8")
    files["_toc.yml"] = _contents(root, pages)
    markers = {
        "progress": fragments.progress([p.chapter for p in shown], rows, systems),
        "chapters": fragments.chapter_list([p.chapter for p in shown]),
        "ledger": fragments.ledger_page(rows, shown, systems),
        "benchmarks": benchmark_tables(load_benchmarks()),
        "api": fragments.api_reference(_rooms(root), _library_digest(root)),
        "external-tables": fragments.external_tables_list(external_tables(), shown),
    }
    for path in [root / "index.md", *sorted((root / "chapters").rglob("*.md"))]:
        name = path.relative_to(root).as_posix()
        files[name] = _fill(path.read_text(encoding="utf-8"), markers, name)
    for page in shown:
        own = [row for row in rows if row.claim.chapter == page.chapter.slug]
        files[f"chapters/{page.chapter.part}/{page.chapter.slug}.ipynb"] = stage_notebook(page, own)
        files[f"_static/sources/{page.chapter.slug}.py"] = page.chapter.path
        files[f"_static/sources/{page.chapter.slug}.ipynb"] = page.notebook
    files["_static/claims.csv"] = ledger_csv(rows)
    for path in sorted(p for p in (root / "_static").rglob("*") if p.is_file()):
        files.setdefault(path.relative_to(root).as_posix(), path)
    return _write(stage, files)


def stage_notebook(page: Page, rows: Sequence[LedgerRow]) -> str:
    """The executed notebook of `page` as it is rendered.

    The cell that papermill injected goes; figures get caption and alternative text from their outputs; the verdict
    box comes under the title, the table of claims to its place, the footer to the end.
    """
    notebook = json.loads(page.notebook.read_text(encoding="utf-8"))
    cells = [c for c in notebook["cells"] if "injected-parameters" not in c["metadata"].get("tags", [])]
    slug = page.chapter.slug
    cells = [part for cell in cells for part in _one_figure_each(cell)]
    for cell in cells:
        if cell["cell_type"] == "code":
            _describe_figure(cell, slug)
    title = next((c for c in cells if c["cell_type"] == "markdown"), None)
    heading, _, rest = "".join(title["source"]).partition("\n") if title else ("", "", "")
    if not heading.startswith("# "):
        raise InputError(f"{slug}: the first Markdown cell must start with the title, '# ...'")
    title["source"] = f"{heading}\n\n{fragments.verdict_box(rows, page)}\n{rest}"
    table = fragments.claims_table(rows)
    places = [c for c in cells if c["cell_type"] == "markdown" and _CLAIMS in "".join(c["source"])]
    if rows and len(places) != 1:
        raise InputError(f"{slug}: needs one Markdown cell with {_CLAIMS}, has {len(places)}")
    for cell in places:
        cell["source"] = "".join(cell["source"]).replace(_CLAIMS, table)
    cells.append({"cell_type": "markdown", "id": "footer", "metadata": {}, "source": fragments.footer(page)})
    notebook["cells"] = cells
    notebook["metadata"].pop("densing", None)
    return json.dumps(notebook, ensure_ascii=False, indent=1)


def _one_figure_each(cell: dict) -> list[dict]:
    """`cell`, cut before and after each figure: captions belong to cells, not to outputs."""
    groups: list[list[dict]] = []
    for output in cell.get("outputs", ()):
        if not groups or _is_image(output) or _is_image(groups[-1][-1]):
            groups.append([])
        groups[-1].append(output)
    if len(groups) < 2:
        return [cell]
    first, *others = groups
    metadata = {"tags": ["remove-input"]}
    return [cell | {"outputs": first}] + [
        cell | {"id": f"{cell['id']}-{number}", "source": "", "metadata": dict(metadata), "outputs": group}
        for number, group in enumerate(others, start=1)
    ]


def _is_image(output: dict) -> bool:
    return any(kind.startswith("image/") for kind in output.get("data", {}))


def _describe_figure(cell: dict, slug: str) -> None:
    for output in filter(_is_image, cell["outputs"]):
        figure = output.get("metadata", {}).get("densing", {}).get("figure")
        if figure is None or not figure["alt"].strip():
            raise InputError(f"{slug}: a figure without alternative text; put it out with chapter.show(...)")
        cell["metadata"]["mystnb"] = {
            "figure": {"caption": figure["caption"], "name": f"fig-{slug}-{figure['name']}"},
            "image": {"alt": figure["alt"], "width": f"{figure['width']}px"},
        }


def _fill(text: str, markers: dict[str, str], name: str) -> str:
    def content(match: re.Match) -> str:
        if match.group(1) not in markers:
            raise InputError(f"{name}: <!-- densing:{match.group(1)} --> must be one of {', '.join(markers)}")
        return markers[match.group(1)]

    return re.sub(r"<!-- densing:([a-z-]+) -->", content, text)


def _contents(root: Path, pages: Sequence[Page]) -> str:
    """The table of contents without chapters that have no page yet (a first run that failed), and parts left empty."""
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    shown = {f"chapters/{p.chapter.part}/{p.chapter.slug}" for p in pages if p.notebook.is_file()}
    for page in pages:
        name = f"chapters/{page.chapter.part}/{page.chapter.slug}"
        if not any(entry["file"] == name for entries in _lists(toc) for entry in entries):
            raise InputError(f"_toc.yml: has no line '- file: {name}'")
    for entries in _lists(toc):
        entries[:] = [e for e in entries if e["file"] in shown or (root / f"{e['file']}.md").is_file()]
    if "parts" in toc:
        toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    return yaml.safe_dump(toc, sort_keys=False, allow_unicode=True)


def _lists(toc: dict) -> list[list[dict]]:
    return [part["chapters"] for part in toc.get("parts", [toc])]


def _rooms(root: Path) -> list[str]:
    """Rooms of the library that export something."""
    return [room for room in ROOMS if (root / "lib" / "densing" / room / "__init__.py").is_file()]


def _library_digest(root: Path) -> str:
    sources = sorted((root / "lib" / "densing").rglob("*.py"))
    return hashlib.sha256("".join(file_digest(path) for path in sources).encode()).hexdigest()[:16]


def _write(stage: Path, files: dict[str, str | Path]) -> str:
    digests = []
    for name, content in sorted(files.items()):
        target = stage / name
        if isinstance(content, Path):
            if not target.is_file() or target.read_bytes() != content.read_bytes():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(content, target)
        elif not target.is_file() or target.read_text(encoding="utf-8") != content:
            write_atomically(target, content)
        digests.append(f"{name} {file_digest(target)}")
    for path in sorted((p for p in stage.rglob("*") if p.is_file()), reverse=True):
        if path.relative_to(stage).as_posix() not in files:
            path.unlink()
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
