"""What every test may rely on: the external tables, where a folder of them stands beside the repository."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

_TABLES = Path(__file__).resolve().parents[2] / "shared" / "facts"
if _TABLES.is_dir():
    os.environ.setdefault("DENSING_EXTERNAL", str(_TABLES))


@pytest.fixture(scope="session")
def built_corpus() -> Path:
    """Folder of the corpus; the first test that asks for it in a fresh clone builds it, which takes some minutes."""
    from densing.data import build_corpus, repository_root

    (repository_root() / "_build").mkdir(exist_ok=True)
    with FileLock(repository_root() / "_build" / "corpus-tests.lock"):
        return build_corpus()
