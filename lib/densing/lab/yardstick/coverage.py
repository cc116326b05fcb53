"""How often the yardstick's intervals hold the truth, on simulated families with all four kinds of noise.

``python -m densing.lab.yardstick.coverage`` records ``data/runs/density_coverage.csv``.
"""

import argparse
from collections.abc import Mapping

import numpy as np
import pandas as pd

from densing.checks import check_range
from densing.lab.runs import RunSpec
from densing.lab.sweeps import run_sweep
from densing.lab.yardstick.calibration import leave_one_run_out, leave_one_size_out
from densing.lab.yardstick.density import capacity_density
from densing.lab.yardstick.fitted import fit_reference
from densing.lab.yardstick.noise import PARTS, Noise
from densing.lab.yardstick.simulation import PLANNED_LAW, PLANNED_SIZES, simulate_family, simulate_variant

SWEEP = "density_coverage"
#: Noise of the recorded study: a run differs by 0.36 % from another of its data order, a size by 0.5 % from the law.
STUDY_NOISE = {"order": 0.0015, "run": 0.003, "branch": 0.002, "size": 0.005}
VARIANT_SIZES = ("d0.05M", "d0.2M", "d0.9M")
TRUE_DENSITY = 1.3
_SEEDS = 3
_TOGETHER = 5  # families of one recorded run


def calibrate_family(
    index: int,
    noise: Noise,
    *,
    law: Mapping[str, float] = PLANNED_LAW,
    draws: int = 500,
    members: bool = True,
) -> dict[str, float]:
    """One simulated family: which of its intervals hold the truth, and how wide they are.

    Parameters
    ----------
    index : number of the family; the same number gives the same family.
    noise : of the simulation; the yardstick must estimate it. law : E, A, B, alpha, beta.
    draws : refits of an interval. members : also hold out each size and each run of the family.

    Returns
    -------
    For variants of density 1.3 and three seeds at three sizes, with data orders of their own and with the family's:
    <size>_<unpaired|paired> (1 if the interval holds 1.3) and <...>_half_width (of ln rho); with `members`
    also out_<size> (1 if the interval of the held-out size holds 1), runs_held (of the 21 held-out runs), cells_held
    (of all 28) and median_half_width (over the 28).
    """
    check_range("index", index, 0, integer=True)
    family = simulate_family(law, noise, seed=[20_261, index])
    fitted = fit_reference(family, draws=draws)
    row: dict[str, float] = {}
    for at, label in enumerate(VARIANT_SIZES):
        count = PLANNED_SIZES[label]
        for name, orders in (("unpaired", _SEEDS), ("paired", family.attrs["order"])):
            losses = simulate_variant(
                law, noise, count, TRUE_DENSITY, orders, seed=[20_262, index, at, name == "paired"]
            )
            found = capacity_density(
                losses,
                count,
                reference=fitted,
                orders=list(orders) if name == "paired" else None,
                controls=False,
            )
            row[f"{label}_{name}"] = int(found.lower <= TRUE_DENSITY <= found.upper)
            row[f"{label}_{name}_half_width"] = found.half_width
    if members:
        sizes, runs = leave_one_size_out(family, draws=draws), leave_one_run_out(family, draws=draws)
        row |= {f"out_{r.held_out}": int(r.covers) for r in sizes.itertuples()}
        row["runs_held"] = int(runs["covers"].sum())
        row["cells_held"] = int(sizes["covers"].sum()) + row["runs_held"]
        widths = np.concatenate([sizes["half_width"], runs["half_width"]])
        row["median_half_width"] = float(np.median(widths))
    return row


def density_coverage_specs(
    *,
    families: int = 400,
    draws: int = 500,
    members: bool = False,
    noise: Mapping[str, float] | None = None,
) -> list[RunSpec]:
    """The study as a sweep, a few families a run.

    Parameters
    ----------
    families : number of simulated families. draws : refits of an interval.
    members : also hold out each size and each run, which takes forty times as long.
    noise : order, run, branch and size; `STUDY_NOISE` by default.
    """
    check_range("families", families, 1, 100_000, integer=True)
    noise = dict(STUDY_NOISE if noise is None else noise)
    Noise(**noise)
    return [
        RunSpec(
            SWEEP,
            "densing.lab.yardstick.coverage:run_families",
            {
                **noise,
                "draws": draws,
                "members": int(members),
                "first": first,
                "count": min(_TOGETHER, families - first),
            },
            work=min(_TOGETHER, families - first),
        )
        for first in range(0, families, _TOGETHER)
    ]


def run_families(config: dict) -> list[dict]:
    """Rows of `calibrate_family`."""
    noise = Noise(**{name: config[name] for name in PARTS})
    rows = []
    for index in range(config["first"], config["first"] + config["count"]):
        found = calibrate_family(index, noise, draws=config["draws"], members=bool(config["members"]))
        rows.append({"row": index} | {name: float(f"{value:.6g}") for name, value in found.items()})
    return rows


def density_coverage_table(study: pd.DataFrame, *, needed: int = 24) -> pd.DataFrame:
    """Share of intervals that hold the truth, with its standard error and the median half width of ln rho.

    Parameters
    ----------
    study : rows of `calibrate_family`.
    needed : cells of 28 that calibration asks for; the last row is the share of families that reach them.

    Returns
    -------
    Index: what was measured; columns share, standard_error, half_width.
    """
    rows = {}
    for label in VARIANT_SIZES:
        for name in ("unpaired", "paired"):
            key = f"{label}_{name}"
            rows[f"variant at {label}, {name}"] = (study[key].mean(), study[f"{key}_half_width"].median())
    if "cells_held" in study:
        out = study[[f"out_{label}" for label in PLANNED_SIZES]]
        rows["held-out size"] = (out.to_numpy().mean(), np.nan)
        rows["held-out size, inner"] = (out.iloc[:, 1:-1].to_numpy().mean(), np.nan)
        rows["held-out run"] = (study["runs_held"].mean() / (_SEEDS * len(PLANNED_SIZES)), np.nan)
        rows["all 28 cells"] = (study["cells_held"].mean() / 28, study["median_half_width"].median())
        rows[f"families with {needed} of 28"] = ((study["cells_held"] >= needed).mean(), np.nan)
    table = pd.DataFrame(rows, index=["share", "half_width"]).T
    table.insert(1, "standard_error", np.sqrt(table["share"] * (1 - table["share"]) / len(study)))
    return table


def main(arguments: list[str] | None = None) -> None:
    """Simulate and record the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--families", type=int, default=400)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--members", action="store_true")
    given = parser.parse_args(arguments)
    specs = density_coverage_specs(families=given.families, draws=given.draws, members=given.members)
    print(density_coverage_table(run_sweep(specs, processes=given.processes)))


if __name__ == "__main__":
    main()
