"""Run one chapter: source to executed notebook and results, by papermill, with a record of what was used."""

import argparse
import datetime
import json
import logging
import os
import platform
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

from densing.book.chapters import ChapterSource, check_overrides, find_chapter
from densing.book.freshness import collect_inputs, digest_of
from densing.book.results import load_results, write_atomically, write_results
from densing.data.paths import repository_root
from densing.data.provenance import file_digest
from densing.errors import ChapterError, InputError

#: Environment variables that hold a numeric library to one thread.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")

_RECORD = "densing-record"
_FIRST = "from densing.data import start_recording\n\nstart_recording()"
_LAST = "import json\n\nfrom densing.data import inputs_used\n\nprint(json.dumps(inputs_used()))"


def execute_chapter(
    chapter: ChapterSource,
    folder: str | Path,
    *,
    parameters: dict[str, object] | None = None,
    progress: bool = False,
    working_folder: str | Path | None = None,
) -> Path:
    """Run `chapter` in a fresh kernel and write ``<slug>.ipynb`` and ``<slug>.json`` into `folder`.

    Parameters
    ----------
    parameters : values that replace defaults of the chapter's parameters cell.
    progress : show a bar, one step a cell.
    working_folder : where the kernel runs (relative paths in parameters start there); default the repository.

    Returns
    -------
    Path of the executed notebook. Both files appear whole, the notebook last.

    Raises
    ------
    InputError : an unknown parameter, or a value that the chapter refused.
    ChapterError : the chapter failed; names the cell and the exception. What ran until then is kept as
        ``<slug>.failed.ipynb``.
    """
    import jupytext
    import nbformat

    parameters = {k: v for k, v in (parameters or {}).items() if v != chapter.parameters.get(k, object())}
    check_overrides(chapter, parameters)
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    notebook = jupytext.read(chapter.path, fmt="py:percent")
    notebook.cells.insert(0, nbformat.v4.new_code_cell(_FIRST, metadata={"tags": [_RECORD]}))
    notebook.cells.append(nbformat.v4.new_code_cell(_LAST, metadata={"tags": [_RECORD]}))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=folder, prefix=f".{chapter.slug}.") as scratch:
        executed = _run(chapter, notebook, parameters, Path(scratch), folder, progress, working_folder)
        seconds = round(time.perf_counter() - started, 1)
        results = Path(scratch) / f"{chapter.slug}.json"
        if not results.is_file():
            raise ChapterError(f"{chapter.slug}: ran to its end without chapter.save(); nothing was measured")
        measured = load_results(results)
        measured.update(parameters=parameters, seconds=seconds)
        write_results(folder / results.name, {k: measured[k] for k in sorted(measured)})
    used = _take_record(executed)
    inputs = collect_inputs(chapter, parameters, used)
    executed.metadata["densing"] = {
        **executed.metadata.get("densing", {}),
        "digest": digest_of(inputs),
        "inputs": inputs,
        "results": file_digest(folder / f"{chapter.slug}.json"),
        "executed": datetime.date.today().isoformat(),
        "seconds": seconds,
        "python": platform.python_version(),
        "tables_absent": measured.get("recorded", []),
    }
    _strip_times(executed)
    target = folder / f"{chapter.slug}.ipynb"
    write_atomically(target, nbformat.writes(executed) + "\n")
    (folder / f"{chapter.slug}.failed.ipynb").unlink(missing_ok=True)
    return target


def _run(chapter, notebook, parameters, scratch, folder, progress, working_folder):
    import papermill
    from papermill.exceptions import PapermillExecutionError

    logging.getLogger("papermill").setLevel(logging.ERROR)
    previous = os.environ.get("DENSING_OUTPUT")
    os.environ["DENSING_OUTPUT"] = str(scratch)
    partial = scratch / "partial.ipynb"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return papermill.execute_notebook(
                notebook,
                partial,
                parameters=parameters,
                kernel_name="python3",
                progress_bar={"desc": chapter.slug, "leave": False} if progress else False,
                request_save_on_cell_execute=False,
                cwd=str(working_folder or repository_root()),
                extra_arguments=["--log-level=CRITICAL"],
            )
    except PapermillExecutionError as error:
        if error.ename in ("InputError", "ExternalDataMissing", "ArchiveMissing"):
            raise InputError(error.evalue) from None
        kept = folder / f"{chapter.slug}.failed.ipynb"
        if partial.is_file():
            shutil.copyfile(partial, kept)
        # papermill counts from one, and the recording cell came first
        raise ChapterError(
            f"{chapter.slug}: cell {error.cell_index - 1} raised {error.ename}: {error.evalue.strip()}\n"
            f"    {_first_code_line(error.source)}"
        ) from None
    finally:
        if previous is None:
            del os.environ["DENSING_OUTPUT"]
        else:
            os.environ["DENSING_OUTPUT"] = previous


def _first_code_line(source: str) -> str:
    lines = [line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return lines[0] if lines else ""


def _take_record(notebook) -> dict:
    used = {}
    kept = []
    for cell in notebook.cells:
        if _RECORD in cell.metadata.get("tags", []):
            text = "".join(o.get("text", "") for o in cell.outputs if o.get("name") == "stdout")
            used = json.loads(text) if text else used
        else:
            kept.append(cell)
    notebook.cells = kept
    return used


def _strip_times(notebook) -> None:
    """Take out what differs from run to run: times, counters, random cell names."""
    notebook.metadata.pop("papermill", None)
    notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
    count = 0
    for index, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{index:03d}"
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        count += 1
        cell["execution_count"] = count
        for output in cell.outputs:
            if "execution_count" in output:
                output["execution_count"] = count


def main(arguments: list[str] | None = None) -> int:
    """Run one chapter for the build; what went wrong is left in ``<slug>.error.json`` for its report."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("slug")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parameters", type=json.loads, default={})
    given = parser.parse_args(arguments)
    report = given.folder / f"{given.slug}.error.json"
    report.unlink(missing_ok=True)
    started = time.perf_counter()
    try:
        execute_chapter(find_chapter(given.slug), given.folder, parameters=given.parameters)
    except (ChapterError, InputError) as error:
        write_atomically(report, json.dumps({"slug": given.slug, "error": str(error)}) + "\n")
        print(f"@failed {given.slug} {time.perf_counter() - started:.1f}", flush=True)
        return 1
    print(f"@done {given.slug} {time.perf_counter() - started:.1f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
