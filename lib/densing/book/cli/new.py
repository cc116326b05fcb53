"""``densing new``."""

import re
from typing import Annotated

import typer

_TEMPLATE = """# ---
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
#     systems: []
#     reading_minutes: 20
#     cost: "10 s on two cores at book scale"
# ---

# %% [markdown]
# # {title}
#
# What the paper claims, in one paragraph, and what you find here.
#
# **You need to know:** ... **Reading time:** 20 minutes. **Cost:** 10 s on two cores at book scale.

# %% tags=["parameters"]
scale = "book"  # "quick", "book" or "full"
seed = 0  # whole number >= 0
device = "cpu"  # "cpu", "cuda", "mps": where tensors live
fresh = False  # True: train everything again instead of reading recorded runs

# %% tags=["remove-output"]
from densing.book import open_chapter

chapter = open_chapter("{slug}", scale=scale, seed=seed, device=device, fresh=fresh)

# %% [markdown]
# ## The idea

# %% [markdown]
# ## The experiment

# %% [markdown]
# ## Results

# %% [markdown]
# ## Claims and measurements
#
# <!-- densing:claims -->

# %%
chapter.save()

# %% [markdown]
# ## On your own data

# %% [markdown]
# ## Exercises

# %% [markdown]
# ## References
#
# ```{{bibliography}}
# :filter: docname in docnames
# ```
"""


def new(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help="lower_snake_case, unique in the book.")],
    part: Annotated[str, typer.Option(help="The part of the book: a folder under chapters/.")] = "laws",
) -> None:
    """Write the skeleton of a chapter."""
    from densing.book.chapters import PARTS, find_chapters
    from densing.book.results import write_atomically
    from densing.checks import check_choice
    from densing.data.paths import repository_root
    from densing.errors import InputError

    if not re.fullmatch(r"[a-z][a-z0-9_]*", slug):
        raise InputError(f"SLUG = {slug!r}: must be lower_snake_case")
    check_choice("--part", part, [p for p in PARTS if p != "reference"])
    if any(chapter.slug == slug for chapter in find_chapters()):
        raise InputError(f"SLUG = {slug!r}: a chapter of this name exists")
    path = repository_root() / "chapters" / part / f"{slug}.py"
    write_atomically(path, _TEMPLATE.format(slug=slug, title=slug.replace("_", " ").capitalize()))
    print(f"wrote {path.relative_to(repository_root())}")
    print(f"next: register its claims in data/claims.yml, add '- file: chapters/{part}/{slug}' to _toc.yml")
