"""Every page of the rendered book, as readers meet it on a phone and on a desk, in light and in dark."""

import pytest

from densing.book import SCREENS, THEMES, broken_links, html_pages, images_without_text, search_book

pytestmark = [pytest.mark.pages, pytest.mark.timeout(1200)]


def _per_page(seen: dict[str, dict], find, screens=tuple(SCREENS)) -> dict[str, list]:
    """What `find` has to say about each visit, without the visits about which it has nothing to say."""
    found = {visit: find(notes) for visit, notes in seen.items() if visit.rsplit(" ", 1)[1] in screens}
    assert found, "no page was visited"
    return {visit: told for visit, told in found.items() if told}


def test_every_page_is_visited(book, seen):
    pages = html_pages(book)
    assert {"index.html", "search.html", "chapters/reference/ledger.html"} <= set(pages)
    assert set(seen) == {f"{page} {screen}" for page in pages for screen in SCREENS}


@pytest.mark.parametrize("kind", ["console", "foreign", "failed"])
def test_pages_load_without_errors_and_without_a_network(seen, kind):
    assert _per_page(seen, lambda notes: notes[kind]) == {}


def test_links_lead_somewhere(book):
    assert broken_links(book) == []


def test_images_have_alternative_text(book):
    assert images_without_text(book) == []


@pytest.mark.parametrize("theme", THEMES)
def test_no_serious_barrier(seen, theme):
    """No violation that axe calls serious or critical."""
    barriers = _per_page(
        seen, lambda n: [v for v in n["axe"][theme] if v["impact"] in ("serious", "critical")]
    )
    assert barriers == {}


def test_no_page_scrolls_sideways(seen):
    wide = _per_page(
        seen, lambda n: [n["page_width"], *n["wide"]] if n["page_width"] > n["window_width"] + 1 else None
    )
    assert wide == {}


def test_text_is_at_least_14_pixels(seen):
    assert _per_page(seen, lambda notes: notes["small"]) == {}


def test_images_load_and_fit(seen):
    bad = _per_page(
        seen,
        lambda n: [
            i for i in n["images"] if not i["loaded"] or (i["in_article"] and i["right"] > n["window_width"])
        ],
    )
    assert bad == {}


def test_figures_are_crisp(seen):
    """A figure on a desk has about two pixels of its own for each pixel shown."""
    figures = [i for notes in seen.values() for i in notes["images"] if "_images/" in i["source"]]
    assert figures, "the book shows no figure"
    blurred = _per_page(
        seen,
        lambda n: [
            i for i in n["images"] if "_images/" in i["source"] and not i["vector"] and _density(i) < 1.9
        ],
        screens=("desktop",),
    )
    assert blurred == {}


def _density(image: dict) -> float:
    return image["pixels"] / max(image["width"], 1)


def test_mathematics_is_typeset(seen):
    assert any(notes["math"] for notes in seen.values()), "the book shows no formula"
    bad = _per_page(
        seen,
        lambda n: n["math_errors"] + ([f"{n['typeset']} of {n['math']}"] if n["typeset"] < n["math"] else []),
    )
    assert bad == {}


def test_no_markup_is_left_in_the_text(seen):
    assert _per_page(seen, lambda notes: notes["raw"]) == {}


def test_search_needs_no_network(chromium, book):
    hits = search_book(book, "density")
    assert any("Densing" in hit for hit in hits), hits
    assert search_book(book, "qwzxvkj") == []
