"""What staging makes of an executed notebook, and what it refuses."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest

from densing.book import PALETTE, figure_style
from densing.book.chapters import ChapterSource
from densing.book.figures import figure_bundle
from densing.book.freshness import Page
from densing.book.staging import stage_notebook
from densing.errors import InputError


def bundle(name="a-line"):
    with figure_style():
        figure, axes = plt.subplots()
        axes.plot([0, 1], [0, 1])
        return figure_bundle(figure, name=name, caption="A line.", alt="It rises from 0 to 1.")


def page(tmp_path, *cells, title="# Title\n\nText.") -> Page:
    first = {"cell_type": "markdown", "id": "t", "metadata": {}, "source": title}
    path = tmp_path / "x.ipynb"
    path.write_text(
        json.dumps(
            {"cells": [first, *cells], "metadata": {"densing": {}}, "nbformat": 4, "nbformat_minor": 5}
        )
    )
    chapter = ChapterSource("x", "laws", tmp_path / "x.py", "Title", (1,), 1, "1 s", {})
    return Page(chapter, path, tmp_path / "x.json", {}, ())


def code(*outputs, source="show()"):
    return {
        "cell_type": "code",
        "id": "c",
        "metadata": {},
        "source": source,
        "execution_count": 1,
        "outputs": list(outputs),
    }


def shown(data, metadata):
    return {"output_type": "display_data", "data": data, "metadata": metadata}


def test_a_figure_gets_its_caption_alternative_text_and_width(tmp_path):
    data, metadata = bundle()
    cells = json.loads(stage_notebook(page(tmp_path, code(shown(data, metadata))), []))["cells"]
    described = cells[1]["metadata"]["mystnb"]
    assert described["figure"] == {"caption": "A line.", "name": "fig-x-a-line"}
    assert described["image"]["alt"] == "It rises from 0 to 1."
    import base64

    pixels = int.from_bytes(base64.b64decode(data["image/png"])[16:20], "big")
    assert described["image"]["width"] == f"{pixels // 2}px", "shown at half of its pixels"
    assert 500 <= pixels // 2 <= 700


def test_figures_that_share_a_cell_are_cut_apart(tmp_path):
    staged = json.loads(
        stage_notebook(page(tmp_path, code(shown(*bundle("one")), shown(*bundle("two")))), [])
    )["cells"]
    names = [c["metadata"]["mystnb"]["figure"]["name"] for c in staged if "mystnb" in c["metadata"]]
    assert names == ["fig-x-one", "fig-x-two"]
    assert "remove-input" in staged[2]["metadata"]["tags"]
    assert len({c["id"] for c in staged}) == len(staged)


def test_a_table_before_a_figure_does_not_take_its_caption(tmp_path):
    table = shown({"text/html": "<table></table>"}, {})
    staged = json.loads(stage_notebook(page(tmp_path, code(table, shown(*bundle()))), []))["cells"]
    described = [c for c in staged if "mystnb" in c["metadata"]]
    assert len(described) == 1 and len(described[0]["outputs"]) == 1
    assert staged[1]["source"] == "show()" and staged[1]["outputs"] == [table]


def test_a_figure_without_alternative_text_fails_the_build(tmp_path):
    data, metadata = bundle()
    for broken in ({}, {"densing": {"figure": metadata["densing"]["figure"] | {"alt": " "}}}):
        with pytest.raises(InputError, match="alternative text"):
            stage_notebook(page(tmp_path, code(shown(data, broken))), [])


def test_a_page_must_start_with_its_title(tmp_path):
    with pytest.raises(InputError, match="must start with the title"):
        stage_notebook(page(tmp_path, title="No title"), [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"alt": ""},
        {"caption": " "},
        {"name": "Bad Name"},
        {"name": ""},
        {"alt": "A line.", "caption": "A  line."},
    ],
)
def test_a_figure_must_be_described(wrong):
    figure, _ = plt.subplots()
    with pytest.raises(InputError, match=next(iter(wrong))):
        figure_bundle(figure, **({"name": "a", "caption": "A caption.", "alt": "An alternative."} | wrong))
    plt.close(figure)


def luminance(color: str) -> float:
    channels = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_text_colour_is_legible_on_the_figures_ground():
    assert 1.05 / (luminance(PALETTE["ink"]) + 0.05) > 7


def test_the_palette_is_told_apart_without_red_and_green():
    """Machado, Oliveira and Fernandes (2009), severe protanomaly and deuteranomaly: no two hues fall together."""
    simulate = {
        "protan": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        "deutan": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    }
    names = [n for n in PALETTE if n not in ("ink", "gray")]
    rgb = np.array([[int(PALETTE[n][i : i + 2], 16) / 255 for i in (1, 3, 5)] for n in names])
    for matrix in simulate.values():
        seen = rgb @ np.array(matrix).T
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=2) + np.eye(len(names))
        assert distance.min() > 0.1
