"""``densing rows``."""

from typing import Annotated

import typer


def rows(
    sweeps: Annotated[
        list[str] | None, typer.Argument(metavar="[SWEEP]...", help="Sweeps; all that ran here.")
    ] = None,
) -> None:
    """Merge finished runs of sweeps (_build/rows) into the committed tables (data/runs)."""
    from densing.lab.recording.merging import merge_sweeps

    for row in merge_sweeps(sweeps or ()).to_dict("records"):
        print(f"{row['sweep']}: {row['added']} runs added, {row['recorded']} recorded")
