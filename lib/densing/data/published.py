"""Tables of published figures: those the book ships, and those it may only read."""

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from densing.data.external import find_external
from densing.data.paths import repository_root
from densing.data.provenance import file_digest, record_external, record_file
from densing.errors import ExternalDataMissing, InputError

if TYPE_CHECKING:
    import pandas as pd


@cache
def external_tables() -> dict[str, dict[str, str]]:
    """The registry of tables that are read but not shipped: name to file, sha256, source, paper and licence."""
    with open(repository_root() / "data" / "external.toml", "rb") as file:
        return tomllib.load(file)


def published_path(name: str) -> Path:
    """Path of the published table `name`, its checksum verified.

    Shipped tables stand in ``data/published``. The others are looked for in ``$DENSING_EXTERNAL``, then in
    ``data/external``.

    Raises
    ------
    InputError : no such table, or a file whose SHA-256 is not the registered one.
    ExternalDataMissing : a registered table that is not on this machine; names its public source.
    """
    root = repository_root()
    shipped = root / "data" / "published" / f"{name}.csv"
    if shipped.is_file():
        return record_file(shipped)
    registry = external_tables()
    if name not in registry:
        known = sorted([p.stem for p in shipped.parent.glob("*.csv")] + list(registry))
        raise InputError(f"name = {name!r}: must be one of the published tables {', '.join(known)}")
    entry = registry[name]
    record_external(name, entry["sha256"])
    path = find_external(entry["file"], entry["sha256"], file_digest)
    if path is not None:
        return path
    raise ExternalDataMissing(
        f"{name}: put {entry['file']} (from {entry['source']}) into data/external or a folder named by "
        "$DENSING_EXTERNAL; the book may read this table but not ship it"
    )


def load_published(name: str) -> "pd.DataFrame":
    """The published table `name` as a frame, checked against its schema where one is defined.

    Raises
    ------
    InputError, ExternalDataMissing : as `published_path`; also when the table breaks its schema.
    """
    import pandas as pd

    return validate_table(name, pd.read_csv(published_path(name)))


def validate_table(name: str, frame: "pd.DataFrame") -> "pd.DataFrame":
    """`frame`, checked (and its types coerced) by the schema of the table `name`; as it is where none is defined.

    Raises
    ------
    InputError : names the column, the first offending row and the check that failed.
    """
    from pandera.errors import SchemaError, SchemaErrors

    from densing.data.schemas import SCHEMAS

    if name not in SCHEMAS:
        return frame
    try:
        return SCHEMAS[name].validate(frame)
    except (SchemaError, SchemaErrors) as error:
        raise InputError(f"{name}: {' '.join(str(error).split())}") from error
