"""What the book asks of Sphinx beyond its theme: images with text, lists and tables for every reader."""

import re
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx.util import logging

from densing.book.docstring_fields import field_lists

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config
    from sphinx.environment import BuildEnvironment

_LOG = logging.getLogger(__name__)
_IMG = re.compile(r"<img\b[^>]*>")
_ALT = re.compile(r"""\balt\s*=\s*(?:"[^"]*[^"\s][^"]*"|'[^']*[^'\s][^']*')""")


def setup(app: "Sphinx") -> dict:
    """Register the extension; Sphinx calls this."""
    app.add_node(nodes.citation, override=True, html=(_visit_citation, _depart_citation))
    app.connect("config-inited", _load_mathjax_only_where_needed)
    app.connect(
        "autodoc-process-docstring", _list_fields, priority=400
    )  # before napoleon, which gets the rest
    app.connect("env-get-updated", _number_per_page, priority=900)  # after Sphinx has numbered the whole book
    app.connect("doctree-resolved", _check_images)
    app.connect("doctree-resolved", _label_cells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _load_mathjax_only_where_needed(app: "Sphinx", config: "Config") -> None:
    # Jupyter Book puts every script below _static/ on every page; sphinx.ext.mathjax knows which pages need this one
    config.html_js_files = [f for f in config.html_js_files if not str(f).startswith("mathjax/")]


def _list_fields(
    app: "Sphinx", what: str, name: str, thing: object, options: object, lines: list[str]
) -> None:
    lines[:] = field_lists(lines)


def _number_per_page(app: "Sphinx", env: "BuildEnvironment") -> list[str]:
    # figures, tables and exercises of a chapter keep their numbers when another chapter is added before it
    for kinds in env.toc_fignumbers.values():
        for numbers in kinds.values():
            for count, label in enumerate(numbers, start=1):
                numbers[label] = (count,)
    return []


def _visit_citation(translator, node: nodes.citation) -> None:
    # docutils writes the role doc-biblioentry, which a list may not hold (it is deprecated for that reason)
    if not isinstance(node.previous_sibling(), nodes.citation):
        translator.body.append('<div role="list" class="citation-list">\n')
    translator.body.append(translator.starttag(node, "div", classes=["citation"], role="listitem"))


def _depart_citation(translator, node: nodes.citation) -> None:
    translator.body.append("</div>\n")
    if not isinstance(node.next_node(descend=False, siblings=True), nodes.citation):
        translator.body.append("</div>\n")


def _check_images(app: "Sphinx", doctree: nodes.document, docname: str) -> None:
    sources = [
        (image, image.get("uri"))
        for image in doctree.findall(nodes.image)
        if not image.get("alt", "").strip()
    ]
    for raw in doctree.findall(nodes.raw):
        sources += [(raw, tag) for tag in _IMG.findall(raw.astext()) if not _ALT.search(tag)]
    for node, source in sources:
        _LOG.warning(
            "image without alternative text: %s",
            source,
            location=node,
            type="densing",
            subtype="alternative_text",
        )


def _label_cells(app: "Sphinx", doctree: nodes.document, docname: str) -> None:
    # on a phone a row of verdicts is a card: each cell carries its heading (book.css hides it elsewhere)
    for table in doctree.findall(nodes.table):
        head = next(table.findall(nodes.thead), None)
        if head is None or not any(_is_verdict(node) for node in table.findall(nodes.Element)):
            continue
        table["classes"].append("claims")
        headings = [entry.astext().capitalize() for entry in head[0]]
        for row in next(table.findall(nodes.tbody)):
            for heading, entry in zip(headings, row, strict=True):
                label = nodes.inline("", f"{heading}: ", classes=["cell-label"])
                if entry.children:
                    (entry[0] if isinstance(entry[0], nodes.paragraph) else entry).insert(0, label)


def _is_verdict(node: nodes.Element) -> bool:
    return "verdict" in node.get("classes", ()) or (
        isinstance(node, nodes.raw) and '"verdict ' in node.astext()
    )
