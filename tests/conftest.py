"""What every test may rely on: the external tables, where a folder of them stands beside the repository."""

import os
from pathlib import Path

_TABLES = Path(__file__).resolve().parents[2] / "shared" / "facts"
if _TABLES.is_dir():
    os.environ.setdefault("DENSING_EXTERNAL", str(_TABLES))
