"""The library's geography: data flows one way through the rooms, and the room is the import path."""

import ast
import json
import re
from pathlib import Path

import jupytext
import pytest

from densing.book import find_chapters
from densing.book.staging import ROOMS
from densing.book.verdicts import VERDICTS
from densing.data import repository_root

ROOT = repository_root()
LIBRARY = ROOT / "lib" / "densing"
OUTSIDE = {"checks", "errors"}
MODULES = sorted(LIBRARY.rglob("*.py"))
CHAPTERS = find_chapters()


def imported(tree: ast.AST) -> list[tuple[str, int]]:
    """Dotted names of this library that a module imports, wherever in it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            found.append((node.module, node.lineno))
    return [(name, line) for name, line in found if name.split(".")[0] == "densing"]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(LIBRARY).as_posix())
def test_a_room_imports_only_itself_and_rooms_before_it(path: Path):
    parts = path.relative_to(LIBRARY).parts
    room = parts[0] if len(parts) > 1 else None
    assert room is None or room in ROOMS, f"{room} is not a room"
    for name, line in imported(ast.parse(path.read_text(encoding="utf-8"))):
        target = name.split(".")[1] if "." in name else None
        if room is None:
            assert target in OUTSIDE | {None}, f"line {line}: {name}"
        elif target not in OUTSIDE | {None}:
            assert ROOMS.index(target) <= ROOMS.index(room), f"line {line}: {room} must not import {name}"


@pytest.mark.parametrize("room", [p.parent.name for p in sorted(LIBRARY.glob("*/__init__.py"))])
def test_the_init_of_a_room_is_an_export_table_that_holds(room: str):
    import importlib

    path = LIBRARY / room / "__init__.py"
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), "needs a docstring"
    kinds = [type(node).__name__ for node in body]
    assert kinds == ["Expr", "Import", "Assign"], (
        f"{path}: docstring, import lazy_loader, one table; nothing else"
    )
    module = importlib.import_module(f"densing.{room}")
    assert module.__all__, "a room appears when it holds something"
    for name in module.__all__:
        assert getattr(module, name).__doc__ is not None or not callable(getattr(module, name)), (
            f"{room}.{name}"
        )


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(LIBRARY).as_posix())
def test_no_module_repeats_its_folders_name_or_is_a_drawer(path: Path):
    assert path.stem != path.parent.name
    assert path.stem not in {"utils", "misc", "helpers", "common", "diagnostics"}
    if path.name != "__init__.py":  # a room's table of names grows with its chapters
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 330, "one idea a module, about 300 lines"


SOURCES = [c.path for c in CHAPTERS]


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.stem)
def test_chapters_import_rooms_only(path: Path):
    allowed = {f"densing.{room}" for room in ROOMS} | {"densing.errors", "densing.checks"}
    for name, line in imported(ast.parse(path.read_text(encoding="utf-8"))):
        assert name in allowed, f"line {line}: import {name} by its room"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.slug)
def test_a_chapter_follows_the_skeleton(chapter):
    text = chapter.path.read_text(encoding="utf-8")
    assert chapter.reading_minutes and chapter.cost, "the header states reading time and cost"
    assert 150 <= len(text.splitlines()) <= 450, "150 to 350 lines of source, and not far beyond"
    headings = re.findall(r"(?m)^# ## (.+)$", text)
    assert len(headings) >= 6 and headings[-1].strip().lower() == "references"
    for part in ("own data", "exercise"):
        assert any(part in heading.lower() for heading in headings), f"no section on {part}"
    code = re.sub(r"(?m)^#.*$", "", text)
    for word in ("decide(", "ledger_rows", "load_claims", *(f'"{verdict}"' for verdict in VERDICTS)):
        assert word not in code, (
            f"{word}: verdicts are computed when the page is put together, not in a chapter"
        )
    assert re.search(r"\.\./|/home/|open\(\"", text) is None, "no relative or absolute path"


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda c: c.slug)
def test_the_committed_notebook_has_the_cells_of_the_source(chapter):
    assert chapter.notebook.is_file(), "make pages writes it"
    source = jupytext.read(chapter.path, fmt="py:percent")
    stored = json.loads(chapter.notebook.read_text(encoding="utf-8"))
    assert [(c.cell_type, c.source) for c in source.cells] == [
        (c["cell_type"], "".join(c["source"])) for c in stored["cells"]
    ]
    record = stored["metadata"]["densing"]
    assert record["inputs"]["parameters"] == {} and record["tables_absent"] == []
    assert "papermill" not in stored["metadata"]
    assert str(ROOT.parent) + "/" not in json.dumps(stored), "a path of this machine"
