"""A throw-away book, rendered as the pipeline renders: sound, and refused where an image has no text."""

import re

import nbformat
import pytest

from densing.book import broken_links, images_without_text, survey_pages
from densing.book.browser import new_context, open_browser, serve, settle

pytestmark = [pytest.mark.pages, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def small_book(tmp_path_factory, write_small_book, render):
    stage = write_small_book(tmp_path_factory.mktemp("small") / "stage")
    status, output, html = render(stage)
    assert status == 0, output[-3000:]
    return html


def test_the_small_book_has_no_fault(chromium, small_book):
    assert broken_links(small_book) == []
    assert images_without_text(small_book) == []
    for visit, notes in survey_pages(small_book, ["index.html", "one.html", "two.html"]).items():
        assert notes["page_width"] <= notes["window_width"] + 1, visit
        for theme, violations in notes["axe"].items():
            assert [v for v in violations if v["impact"] in ("serious", "critical")] == [], (visit, theme)
        assert [notes[k] for k in ("console", "foreign", "failed", "small", "raw", "math_errors")] == [
            []
        ] * 6, visit
        assert notes["typeset"] == notes["math"] and (notes["math"] > 0) == visit.startswith("one")


def test_what_scrolls_can_be_reached_by_keyboard(chromium, small_book):
    with serve(small_book) as address, open_browser() as browser, new_context(browser, "phone") as context:
        page = context.new_page()
        page.goto(f"{address}/one.html")
        settle(page)
        boxes = page.locator("[data-scrolls]").evaluate_all(
            "boxes => boxes.map(b => [b.tabIndex, b.getAttribute('role'), b.getAttribute('aria-label')])"
        )
        assert {name for _, _, name in boxes} == {
            f"{n}, scrolls sideways" for n in ("Code", "Equation", "Output")
        }
        assert all(box[:2] == [0, "group"] for box in boxes)
        page.locator("button.toggle-button").first.click()
        unfolded = page.locator(".solution pre[data-scrolls]").first
        unfolded.wait_for(state="visible")
        unfolded.focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function(
            "document.activeElement.matches('.solution pre') && document.activeElement.scrollLeft"
        )


def test_citations_are_items_of_their_list(small_book):
    text = (small_book / "one.html").read_text(encoding="utf-8")
    assert text.count('role="list" class="citation-list"') == 1
    assert len(re.findall(r'<div class="citation"[^>]*role="listitem"', text)) == 2
    assert "doc-biblioentry" not in text


def test_mathjax_is_loaded_where_there_is_mathematics(small_book):
    assert "mathjax/tex-chtml-full.js" in (small_book / "one.html").read_text(encoding="utf-8")
    assert "mathjax/tex-chtml-full.js" not in (small_book / "two.html").read_text(encoding="utf-8")


def test_numbers_start_again_on_each_page(small_book):
    for page in ("one", "two"):
        text = (small_book / f"{page}.html").read_text(encoding="utf-8")
        assert re.findall(r'<span class="caption-number">(Fig[^<]*)</span>', text) == ["Fig. 1 "]


def test_cells_of_a_verdict_table_carry_their_heading(small_book):
    text = (small_book / "one.html").read_text(encoding="utf-8")
    labels = re.findall(r'<span class="cell-label">([^<]*)</span>', text)
    assert labels == ["Claim: ", "Published: ", "Measured: ", "Verdict: "] * 2


@pytest.mark.parametrize("kind", ["output", "markdown", "html"])
def test_an_image_without_alternative_text_fails_the_build(tmp_path, write_small_book, render, kind):
    stage = write_small_book(tmp_path / "stage")
    notebook = nbformat.read(stage / "one.ipynb", as_version=4)
    if kind == "output":
        (figure,) = (cell for cell in notebook.cells if "mystnb" in cell.metadata)
        figure.metadata["mystnb"]["image"].pop("alt")
    else:
        image = "![](_static/logo.svg)" if kind == "markdown" else '<img src="_static/logo.svg" alt=" ">'
        notebook.cells[0]["source"] += f"\n\n{image}\n"
    nbformat.write(notebook, stage / "one.ipynb")
    status, output, _ = render(stage)
    assert status != 0
    assert output.count("image without alternative text") >= 1
    warnings = [line for line in output.splitlines() if "WARNING" in line]
    assert len(warnings) == 1 and "one.ipynb" in warnings[0], warnings
