"""A small book of three chapters in a temporary folder, with its own copy of the library."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HEADER = """# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
#   densing:
#     systems: [{system}]
#     reading_minutes: 1
#     cost: "1 s"
# ---

# %% [markdown]
# # {title}
#
# A chapter for tests.

# %% tags=["parameters"]
scale = "book"
seed = 0
device = "cpu"
fresh = False
"""

BODY = """
# %%
from densing.book import open_chapter

chapter = open_chapter("{slug}", scale=scale, seed=seed, device=device, fresh=fresh)
{code}

# %%
chapter.measure("{slug}/claim", number={number})
chapter.save()

# %% [markdown]
# <!-- densing:claims -->
"""

CLAIM = """
- id: {slug}/claim
  system: {system}
  chapter: {slug}
  claim: The number is larger than one.
  published: {{value: 2, unit: "1", text: "2"}}
  source: {{cite: null, where: "a test"}}
  measured: A number that the chapter states.
  quantities:
    number: {{unit: "1", text: "the number"}}
  criterion:
    text: Larger than one.
    reproduced: "number > 1"
  registered: 2026-11-22
  hash: "{hash}"
"""


class MiniBook:
    """A book that tests may break."""

    def __init__(self, root: Path):
        self.root = root
        shutil.copytree(
            ROOT / "lib" / "densing", root / "lib" / "densing", ignore=shutil.ignore_patterns("__pycache__")
        )
        shutil.copy(ROOT / "Snakefile", root)
        shutil.copy(ROOT / "_config.yml", root)
        shutil.copytree(ROOT / "_static", root / "_static", ignore=shutil.ignore_patterns("mathjax"))
        for folder in ("data/results", "data/published", "chapters/laws", "chapters/density"):
            (root / folder).mkdir(parents=True)
        (root / "references.bib").write_text("")
        (root / "data" / "external.toml").write_text("")
        self.systems, self.claims, self.contents = [], [], []
        self.add("one", 1, part="density", code="from densing.errors import FitError")
        self.add("two", 2, code="import densing.laws  # nothing of it is used")
        (root / "index.md").write_text(
            "# A book for tests\n\n<!-- densing:progress -->\n\n<!-- densing:chapters -->\n"
        )

    def add(self, slug: str, system: int, *, part="laws", code="", number="2", extra="") -> Path:
        """Write a chapter and register its claim."""
        from densing.book import criterion_hash

        path = self.root / "chapters" / part / f"{slug}.py"
        text = HEADER.format(system=system, title=slug.capitalize()) + extra
        path.write_text(text + BODY.format(slug=slug, code=code, number=number))
        digest = criterion_hash({"text": "Larger than one.", "reproduced": "number > 1"})
        self.claims.append(CLAIM.format(slug=slug, system=system, hash=digest))
        self.systems.append(
            f"- {{number: {system}, name: {slug}, title: t, authors: a, year: 2026, part: {part}, claims: 1, "
            "cite: none, summary: s}"
        )
        self.contents.append(f"- file: chapters/{part}/{slug}")
        (self.root / "data" / "claims.yml").write_text("".join(self.claims))
        (self.root / "data" / "systems.yml").write_text("\n".join(self.systems))
        (self.root / "_toc.yml").write_text(
            "format: jb-book\nroot: index\nchapters:\n" + "\n".join(self.contents) + "\n"
        )
        return path

    def environment(self, **extra: str) -> dict[str, str]:
        """The environment in which this book's own library is imported."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("DENSING", "PYTEST"))}
        return clean | {"PYTHONPATH": str(self.root / "lib"), "OMP_NUM_THREADS": "1"} | extra

    def command(self, *arguments: str) -> list[str]:
        """A command of the book's command line."""
        return [sys.executable, "-m", "densing.book.cli", *arguments]

    def densing(self, *arguments: str, **extra: str) -> subprocess.CompletedProcess:
        """Run a command of the book's command line and wait for it."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.root,
            env=self.environment(**extra),
            capture_output=True,
            text=True,
            timeout=240,
        )


@pytest.fixture
def mini_book(tmp_path: Path) -> MiniBook:
    """A fresh small book."""
    return MiniBook(tmp_path)
