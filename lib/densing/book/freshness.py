"""Whether an executed page still follows from its inputs.

The digest of a page is the hash of everything its run used: the chapter's source, its parameters, and what
`densing.data.provenance` recorded in the kernel. File times play no part, so a fresh clone is as fresh as the
commit. Claims and criteria are no inputs: verdicts are computed when pages are staged.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from densing.book.chapters import ChapterSource
from densing.data.archives import archive_path, registered_archives
from densing.data.paths import repository_root
from densing.data.provenance import file_digest, public_version
from densing.data.published import external_tables, published_path
from densing.errors import ExternalDataMissing

_LIBRARY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Page:
    """An executed notebook of a chapter and the results file that belongs to it.

    Attributes
    ----------
    chapter, notebook, results : the source and the two files.
    record : the notebook's ``densing`` metadata, empty where it has none.
    reasons : why the page is stale; empty when it is fresh.
    """

    chapter: ChapterSource
    notebook: Path
    results: Path
    record: dict
    reasons: tuple[str, ...]

    @property
    def fresh(self) -> bool:
        """Whether nothing that the page used has changed."""
        return not self.reasons


def collect_inputs(chapter: ChapterSource, parameters: dict, used: dict) -> dict:
    """All inputs of one run: source, parameters that differ from the defaults, and what the kernel used."""
    return {"source": file_digest(chapter.path), "parameters": parameters, **used}


def digest_of(inputs: dict) -> str:
    """The page's digest: 16 hexadecimal digits over all inputs."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def read_page(chapter: ChapterSource, notebook: Path, results: Path, parameters: dict | None = None) -> Page:
    """The page in `notebook`, with the reasons that make it stale for a run with `parameters` (default: none)."""
    record: dict = {}
    if not notebook.is_file():
        reasons = ["never executed"]
    else:
        try:
            record = json.loads(notebook.read_text(encoding="utf-8"))["metadata"].get("densing", {})
        except (json.JSONDecodeError, KeyError):
            record = {}
        reasons = _stale_reasons(chapter, record, results, parameters or {})
    return Page(chapter, notebook, results, record, tuple(reasons))


def newest_page(chapter: ChapterSource, executed: Path, root: Path | None = None) -> Page:
    """The page to show: that in `executed` if fresh, else the committed one if fresh, else the later of the two."""
    root = root or repository_root()
    built = read_page(chapter, executed / f"{chapter.slug}.ipynb", executed / f"{chapter.slug}.json")
    if built.fresh:
        return built
    committed = read_page(chapter, chapter.notebook, root / "data" / "results" / f"{chapter.slug}.json")
    if committed.fresh or not built.record:
        return committed
    return built


def _stale_reasons(chapter: ChapterSource, record: dict, results: Path, parameters: dict) -> list[str]:
    inputs = record.get("inputs")
    if not inputs:
        return ["executed without a record of what it used"]
    root = repository_root()
    reasons = []
    if digest_of(inputs) != record.get("digest"):
        reasons.append("its record was edited")
    if inputs["source"] != file_digest(chapter.path):
        reasons.append(f"{chapter.path.relative_to(root).as_posix()} changed")
    if inputs["parameters"] != parameters:
        reasons.append(f"executed with {inputs['parameters'] or 'default parameters'}")
    for name, digest in inputs["modules"].items():
        path = _LIBRARY.joinpath(*name.split(".")).with_suffix(".py")
        reasons += _compare(f"lib/{path.relative_to(_LIBRARY).as_posix()}", digest, path)
    for name, digest in inputs["files"].items():
        reasons += _compare(name, digest, root / name)
    for name, version in inputs["distributions"].items():
        now = public_version(name)
        if now != version:
            reasons.append(f"{name} was {version}, is {now or 'absent'}")
    registered = external_tables() | registered_archives()
    for name, digest in inputs["external"].items():
        if registered.get(name, {}).get("sha256") != digest:
            reasons.append(f"external file {name} has another registered checksum")
    for name in record.get("tables_absent", ()):
        if _is_present(name):
            reasons.append(f"executed without the external file {name}, which is here now")
    if not results.is_file():
        reasons.append(f"{results.name} is absent")
    elif file_digest(results) != record.get("results"):
        reasons.append(f"{results.name} is not the one this page wrote")
    return reasons


def _is_present(name: str) -> bool:
    try:
        return (archive_path if name in registered_archives() else published_path)(name).is_file()
    except ExternalDataMissing:
        return False


def _compare(name: str, digest: str, path: Path) -> list[str]:
    if not path.is_file():
        return [f"{name} is gone"]
    return [] if file_digest(path) == digest else [f"{name} changed"]
