"""The chapters that exist, read from their sources without running them."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from densing.data.paths import repository_root
from densing.errors import InputError

#: Parts of the book in reading order: folder under ``chapters/`` and heading.
PARTS = {
    "density": "What a parameter is worth",
    "laws": "Loss against scale",
    "capability": "From loss to skill",
    "recipes": "Hyper-parameters, schedules, data",
    "architectures": "Architectures",
    "compression": "Compression",
    "adaptation": "Adaptation",
    "systems": "Systems",
    "evaluation": "Evaluation",
    "beyond": "Beyond language",
    "reference": "Reference",
}
SCALES = ("quick", "book", "full")


@dataclass(frozen=True)
class ChapterSource:
    """One chapter as its source states it.

    Attributes
    ----------
    slug, part, path : file stem, folder, and the ``.py`` file.
    title : the first heading.
    systems : numbers of the published systems it reproduces.
    reading_minutes, cost : reading time, and compute cost in words.
    parameters : names and default values of the ``parameters`` cell.
    """

    slug: str
    part: str
    path: Path
    title: str
    systems: tuple[int, ...]
    reading_minutes: int | None
    cost: str
    parameters: dict[str, object]

    @property
    def notebook(self) -> Path:
        """The executed notebook that is committed beside the source."""
        return self.path.with_suffix(".ipynb")


def find_chapters(root: Path | None = None) -> list[ChapterSource]:
    """All chapters, in the order of parts and of the table of contents (then by name).

    Raises
    ------
    InputError : a source whose header, title or parameters cell is missing, or a slug used twice.
    """
    root = root or repository_root()
    chapters: dict[str, ChapterSource] = {}
    for path in sorted((root / "chapters").glob("*/*.py")):
        chapter = _read(path)
        if chapter.slug in chapters:
            raise InputError(f"{path}: slug {chapter.slug!r} is used by {chapters[chapter.slug].path} too")
        chapters[chapter.slug] = chapter
    order = _contents_order(root)
    parts = list(PARTS)
    return sorted(
        chapters.values(),
        key=lambda c: (parts.index(c.part), order.get(f"chapters/{c.part}/{c.slug}", len(order)), c.slug),
    )


def find_chapter(slug: str, root: Path | None = None) -> ChapterSource:
    """The chapter called `slug`; an `InputError` lists the known ones."""
    chapters = find_chapters(root)
    for chapter in chapters:
        if chapter.slug == slug:
            return chapter
    raise InputError(f"SLUG = {slug!r}: must be one of {', '.join(c.slug for c in chapters) or '(none yet)'}")


def check_overrides(chapter: ChapterSource, overrides: dict[str, object]) -> None:
    """Refuse parameters that the chapter does not have; an `InputError` names them and lists its own."""
    for name in overrides:
        if name not in chapter.parameters:
            raise InputError(
                f"-p {name}: {chapter.slug} has no such parameter; it has {', '.join(chapter.parameters)}"
            )


def _read(path: Path) -> ChapterSource:
    text = path.read_text(encoding="utf-8")
    if path.parent.name not in PARTS:
        raise InputError(f"{path}: the folder must be one of {', '.join(PARTS)}")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", path.stem):
        raise InputError(f"{path}: the slug must be lower_snake_case")
    header = re.match(r"# ---\n((?:#.*\n)*?)# ---\n", text)
    if header is None:
        raise InputError(f"{path}: must start with a Jupytext header between '# ---' lines")
    meta = yaml.safe_load(re.sub(r"(?m)^# ?", "", header.group(1)))["jupyter"].get("densing") or {}
    title = re.search(r"(?m)^# # (.+)$", text)
    if title is None:
        raise InputError(f"{path}: must have a title, a line '# # Title' in its first Markdown cell")
    return ChapterSource(
        slug=path.stem,
        part=path.parent.name,
        path=path,
        title=title.group(1).strip(),
        systems=tuple(meta.get("systems", ())),
        reading_minutes=meta.get("reading_minutes"),
        cost=meta.get("cost", ""),
        parameters=_parameters(path, text),
    )


def _parameters(path: Path, text: str) -> dict[str, object]:
    cell = re.search(r'(?ms)^# %% tags=\[[^\]]*"parameters"[^\]]*\]\n(.*?)(?=^# %%|\Z)', text)
    if cell is None:
        raise InputError(f'{path}: must have a cell tagged "parameters"')
    values = {}
    for node in ast.parse(cell.group(1)).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
            raise InputError(f"{path}: the parameters cell may hold plain assignments only")
        values[node.targets[0].id] = ast.literal_eval(node.value)
    for name in ("scale", "seed", "device", "fresh"):
        if name not in values:
            raise InputError(f"{path}: the parameters cell must set {name}")
    return values


def _contents_order(root: Path) -> dict[str, int]:
    toc = root / "_toc.yml"
    if not toc.is_file():
        return {}
    files = re.findall(r"(?m)^\s*-\s*file:\s*(\S+)", toc.read_text(encoding="utf-8"))
    return {file.removesuffix(".ipynb"): index for index, file in enumerate(files)}
