"""The rendered book, what a browser saw of it, and a throw-away book to try rendering on."""

import base64
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock
from nbformat import v4

from densing.book import find_chromium, survey_pages
from densing.data import repository_root


@pytest.fixture(scope="session")
def chromium() -> str:
    """Skip what needs a browser where there is none."""
    found = find_chromium()
    if found is None:
        pytest.skip("no Chromium: set $CHROMIUM or install chromium, chromium-browser or google-chrome")
    return found


@pytest.fixture(scope="session")
def book() -> Path:
    """Folder of the rendered book, brought up to date by the book's own build."""
    root = repository_root()
    (root / "_build").mkdir(exist_ok=True)
    with FileLock(root / "_build" / "pages-tests.lock"):
        build = subprocess.run(
            [sys.executable, "-m", "densing.book.cli", "build"], cwd=root, capture_output=True, text=True
        )
    assert build.returncode == 0, f"the build failed\n{build.stdout[-4000:]}\n{build.stderr[-4000:]}"
    return root / "_build" / "html"


@pytest.fixture(scope="session")
def seen(chromium, book, tmp_path_factory, worker_id) -> dict[str, dict]:
    """One survey of the book for all tests, and for all processes when several run."""
    shared = (
        tmp_path_factory.getbasetemp() if worker_id == "master" else tmp_path_factory.getbasetemp().parent
    )
    notes = shared / "survey.json"
    with FileLock(f"{notes}.lock"):
        if not notes.is_file():
            notes.write_text(json.dumps(survey_pages(book)), encoding="utf-8")
    return json.loads(notes.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def render():
    """Render a stage as the pipeline does; returns exit status, what was printed and the folder of pages."""

    def render_stage(stage: Path) -> tuple[int, str, Path]:
        output = stage.parent
        command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()", "build"]
        options = ["-n", "-W", "--keep-going", "--path-output", output]
        run = subprocess.run([*command, stage, *options], capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr, output / "_build" / "html"

    return render_stage


@pytest.fixture(scope="session")
def write_small_book():
    """Write a small stage with one of everything a chapter may hold."""
    return _write_small_book


def _write_small_book(stage: Path) -> Path:
    root = repository_root()
    shutil.copytree(Path(__file__).parent / "small_book", stage, ignore=shutil.ignore_patterns("one.md"))
    shutil.copytree(root / "_static", stage / "_static")
    shutil.copy(root / "_config.yml", stage)
    texts = (Path(__file__).parent / "small_book" / "one.md").read_text(encoding="utf-8").split("\n+++\n")
    special = {"code": _code, "figure": _figure, "table": _table}
    cells = [special[text]() if text in special else v4.new_markdown_cell(text) for text in texts]
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
    }
    nbformat.write(v4.new_notebook(cells=cells, metadata=metadata), stage / "one.ipynb")
    return stage


def _code():
    source = (
        "def doubling_time(slope):  # a comment " + "that goes on " * 20 + '\n    return f"{slope:.3f}", None'
    )
    printed = v4.new_output("stream", name="stdout", text="a long line of output " * 12 + "\n")
    return v4.new_code_cell(source, outputs=[printed])


def _figure():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.5), layout="constrained")
    figure.add_subplot(xlabel="months", ylabel="capacity density").plot([0, 30], [0.05, 1.6])
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=240)
    data = {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": "a line"}
    cell = v4.new_code_cell("chapter.show(figure)", outputs=[v4.new_output("display_data", data=data)])
    cell.metadata["tags"] = ["hide-input"]
    cell.metadata["mystnb"] = {
        "figure": {"caption": "Density, $\\rho \\propto 2^{t/T}$ {cite:p}`first2024`.", "name": "fig-rise"},
        "image": {"alt": "A line rises from the lower left to the upper right.", "width": "624px"},
    }
    return cell


def _table():
    heads = "".join(f'<th scope="col">a wide column {i}</th>' for i in range(12))
    rows = f"<tr>{'<td>0.123</td>' * 12}</tr>" * 3
    table = f"<caption>Rows</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody>"
    data = {"text/html": f'<table class="dataframe">{table}</table>', "text/plain": "a table"}
    return v4.new_code_cell("chapter.table(frame)", outputs=[v4.new_output("display_data", data=data)])
