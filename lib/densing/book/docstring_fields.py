"""Sections of this library's docstrings as reStructuredText field lists.

The docstrings write ``name : what it is`` on one line, where numpydoc would expect a type after the colon, and plain
sentences under ``Returns``.
"""

import re

_SECTIONS = ("Parameters", "Attributes", "Returns", "Yields", "Raises", "Warns")
_NAMES = r"\*{0,2}[A-Za-z_][\w.]*(?:, \*{0,2}[A-Za-z_][\w.]*)*"
_ENTRY = re.compile(rf"({_NAMES}) : (.*)")
_BARE = re.compile(rf"({_NAMES})")


def field_lists(lines: list[str]) -> list[str]:
    """Rewrite the sections of a docstring that list names or say what is returned.

    Parameters
    ----------
    lines : a docstring without its common indentation.

    Returns
    -------
    The same lines, each such section replaced by a field list; other sections (References, Notes) stay as they are.
    """
    lines = [_plain_style(line) for line in lines]
    written, at = [], 0
    while at < len(lines):
        if not (_is_header(lines, at) and lines[at] in _SECTIONS):
            written.append(lines[at])
            at += 1
            continue
        end = next((i for i in range(at + 2, len(lines)) if _is_header(lines, i)), len(lines))
        written += _field(lines[at], lines[at + 2 : end])
        at = end
    return written


def _plain_style(line: str) -> str:
    # two habits that reStructuredText reads otherwise: |x| for an absolute value, `Name`s for several
    parts = re.split(r"(``.*?``|`.*?`)", line)
    for at in range(0, len(parts), 2):
        glue = "\\ " if at and re.match(r"\w", parts[at]) else ""
        parts[at] = glue + parts[at].replace("|", "\\|")
    return "".join(parts)


def _is_header(lines: list[str], at: int) -> bool:
    return (
        at + 1 < len(lines) and re.fullmatch(r"-{3,}", lines[at + 1]) is not None and lines[at][:1].isalpha()
    )


def _field(section: str, body: list[str]) -> list[str]:
    sentences: list[str] = []
    entries: list[tuple[str, list[str]]] = []
    for at, line in enumerate(body):
        entry, bare = _ENTRY.fullmatch(line), _BARE.fullmatch(line)
        if entry:
            entries.append((entry[1], [entry[2]]))
        elif bare and at + 1 < len(body) and body[at + 1].startswith(" "):
            entries.append((bare[1], [""]))
        elif entries:
            entries[-1][1].append(line.strip())
        else:
            sentences.append(line.strip())
    written = ["", f":{section}:", *(f"    {line}".rstrip() for line in sentences)]
    for names, text in entries:
        shown = ", ".join(f"**{name}**" for name in names.replace("*", "\\*").split(", "))
        first, *rest = text if text[0] else text[1:]
        written += ["", f"    * {shown} -- {first}", *(f"      {line}".rstrip() for line in rest)]
    return [*written, ""]
