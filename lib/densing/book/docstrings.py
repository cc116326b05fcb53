"""Sphinx extension: the library's docstrings, whose sections read ``name : what it is``, as Napoleon expects them."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_SECTIONS = ("Parameters", "Attributes", "Raises", "Warns", "Other Parameters")


def described_entries(lines: list[str]) -> list[str]:
    """`lines` of a docstring with ``name : text`` split into a name and an indented text.

    Napoleon takes what follows the colon for a type; here it is the meaning. Only entries of the sections of
    parameters, attributes, errors and warnings are touched.
    """
    result: list[str] = []
    inside = False
    for index, line in enumerate(lines):
        following = lines[index + 1].strip() if index + 1 < len(lines) else ""
        if following and set(following) == {"-"}:
            inside = line.strip() in _SECTIONS
        entry = re.match(r"^([\w*][\w*., ]*?) : (.+)$", line) if inside else None
        if entry:
            result += [entry.group(1), f"    {entry.group(2)}"]
        else:
            result.append(line)
    return result


def _process(app, what, name, obj, options, lines) -> None:
    lines[:] = described_entries(lines)


def setup(app: "Sphinx") -> dict:
    """Register with Sphinx, before Napoleon reads the docstrings."""
    app.connect("autodoc-process-docstring", _process, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
