"""The checks find what is planted, and nothing on a sound page."""

import pytest

from densing.book import broken_links, html_pages, images_without_text, survey_pages, take_screenshots
from densing.errors import InputError

_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<link rel="icon" href="data:,"></head>"""
_SOUND = f"""{_HEAD}<body><main><article><h1 id="top">Title</h1>
<p>Enough contrast, <a href="other.html#end">a link</a>, <a href="#top">another</a>,
<sup style="font-size:9px">1</sup> <code>\\alpha</code>.</p>
<div tabindex="0" style="overflow-x:auto"><div style="width:3000px">wide, in its own box</div></div>
<img src="{_PIXEL}" alt="a dot" width="10"></article></main></body></html>"""


@pytest.fixture
def site(tmp_path):
    """Write pages by name; ``other.html`` with an anchor is always there."""

    def write(**pages: str):
        for name, text in {
            "other": f"{_HEAD}<body><main><h1 id='end'>Other</h1></main></body>",
            **pages,
        }.items():
            (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_a_sound_page_passes(chromium, site):
    folder = site(page=_SOUND)
    assert broken_links(folder) == []
    assert images_without_text(folder) == []
    seen = survey_pages(folder, ["page.html"])
    assert set(seen) == {"page.html phone", "page.html desktop"}
    for notes in seen.values():
        assert [
            notes[k] for k in ("console", "foreign", "failed", "wide", "small", "raw", "math_errors")
        ] == [[]] * 7
        assert notes["page_width"] <= notes["window_width"] + 1
        assert [
            v for theme in notes["axe"].values() for v in theme if v["impact"] in ("serious", "critical")
        ] == []
        (image,) = notes["images"]
        assert image["loaded"] and image["in_article"] and image["pixels"] == 1 and image["width"] == 10


def test_every_planted_fault_is_found(chromium, site):
    folder = site(
        page=f"""{_HEAD}<body><main><article><h1>Title</h1>
<p style="color:#aaa;background:#fff">Too little contrast.</p><p style="font-size:12px">Too small.</p>
<p>Left over: \\frac{{1}}{{2}} and {{cite:p}}`key`.</p>
<div style="width:2000px">Too wide.</div>
<div role="list" class="citation-list"><div role="doc-biblioentry">An entry.</div></div>
<img src="gone.png" alt="gone"><img src="http://example.org/pixel.png" alt="elsewhere">
<script>console.error("planted"); throw new Error("thrown");</script></article></main></body></html>"""
    )
    for visit, notes in survey_pages(folder, ["page.html"]).items():
        assert notes["page_width"] > notes["window_width"] + 1, visit
        assert len(notes["wide"]) == 1 and "Too wide" in notes["wide"][0]
        assert len(notes["small"]) == 1 and "Too small" in notes["small"][0]
        assert len(notes["raw"]) == 1 and "Left over" in notes["raw"][0]
        assert notes["foreign"] == ["http://example.org/pixel.png"]
        assert any("gone.png: 404" in line for line in notes["failed"])
        assert {"planted", "thrown"} <= {word for line in notes["console"] for word in line.split()}
        assert not any(image["loaded"] for image in notes["images"])
        broken_rules = {theme: {v["id"] for v in violations} for theme, violations in notes["axe"].items()}
        assert broken_rules["light"] >= {"color-contrast", "aria-required-children"}
        assert broken_rules["dark"] == {"color-contrast"}


def test_links_are_followed_to_file_and_anchor(site):
    bad = '<a href="gone.html">a</a><a href="other.html#nowhere">b</a><a href="#nowhere">c</a><img src="gone.png">'
    good = '<a href="http://example.org/x">d</a><a href="mailto:a@b">e</a><a href="other.html#end">f</a>'
    folder = site(page=f"<body><article>{bad}{good}</article></body>")
    assert broken_links(folder) == [
        "page.html: gone.html (no such file)",
        "page.html: other.html#nowhere (no such anchor)",
        "page.html: #nowhere (no such anchor)",
        "page.html: gone.png (no such file)",
    ]


def test_alternative_text_must_say_something(site):
    folder = site(
        page='<img src="a/x.png"><img src="b.png" alt=" "><img src="c.png" alt="c.png"><img src="d" alt="d!">'
    )
    assert images_without_text(folder) == ["page.html: a/x.png", "page.html: b.png", "page.html: c.png"]


def test_snippets_of_the_theme_are_no_pages(site):
    folder = site()
    (folder / "_static").mkdir()
    (folder / "_static" / "macros.html").write_text("{% macro %}")
    assert html_pages(folder) == ["other.html"]


def test_screenshots_of_chosen_pages(chromium, site, tmp_path_factory):
    output = tmp_path_factory.mktemp("screens")
    files = take_screenshots(site(page=_SOUND), output, ["page"])
    assert sorted(f.name for f in files) == [
        f"page-{screen}-{theme}.png" for screen in ("desktop", "phone") for theme in ("dark", "light")
    ]
    assert all(f.stat().st_size > 1000 for f in files)
    with pytest.raises(InputError, match="pages: 'absent'"):
        take_screenshots(site(), output, ["absent"])
