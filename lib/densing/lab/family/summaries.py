"""What the claims about the family need, and the tables of its fits, controls and resolution."""

import math

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_columns
from densing.fitters.bootstrap import Estimate
from densing.lab.family.planned_runs import PlannedComparison
from densing.lab.yardstick.density import capacity_density
from densing.lab.yardstick.fitted import FittedReference
from densing.lab.yardstick.noise import Noise
from densing.lab.yardstick.results import Density
from densing.lab.yardstick.rows import METRIC
from densing.lab.yardstick.simulation import family_plan, simulate_family

#: What a reader's table of runs must hold.
LADDER_COLUMNS = ["size", "n_parameters", "tokens", "bits_per_byte"]


def law_summary(errors: pd.DataFrame) -> dict[str, float]:
    """Quantities of the claim that a law describes the family.

    Parameters
    ----------
    errors : from `held_out_errors`.
    """
    return {
        "error": float(errors.loc["law", "all"]),
        "error_carried": float(errors.loc["carried_forward", "all"]),
        "error_without_constant": float(errors.loc["without_floor", "all"]),
        "error_corner": float(errors.loc["law", "corner"]),
    }


def planned_summary(comparison: PlannedComparison) -> dict[str, Estimate | float]:
    """Quantities of the claim that a branch equals a planned run."""
    return {"difference": comparison.difference, "largest_cell": comparison.largest_cell}


def calibration_summary(sizes: pd.DataFrame, runs: pd.DataFrame) -> dict[str, float]:
    """Quantities of the claim that members have density 1.

    Parameters
    ----------
    sizes, runs : from `leave_one_size_out` and `leave_one_run_out`.
    """
    covered = int(sizes["covers"].sum()), int(runs["covers"].sum())
    return {
        "covered": sum(covered),
        "half_width": float(np.median(np.concatenate([sizes["half_width"], runs["half_width"]]))),
        "covered_sizes": covered[0],
        "covered_runs": covered[1],
    }


def resolution_summary(resolution: pd.DataFrame) -> dict[str, float]:
    """Quantities of the claim about the yardstick's resolution.

    Parameters
    ----------
    resolution : from `resolution`.
    """
    return {
        "largest": float(resolution["unpaired"].max()),
        "smallest": float(resolution["unpaired"].min()),
        "largest_same_orders": float(resolution["paired"].max()),
    }


def held_out_table(errors: pd.DataFrame) -> pd.DataFrame:
    """A table of `held_out_errors` in per cent."""
    names = {"law": "law", "without_floor": "law without E", "carried_forward": "nearest fitted cell"}
    return (100 * errors).map("{:.2f}".format).rename(index=names).rename_axis("prediction").reset_index()


def reference_constants_table(reference: FittedReference) -> pd.DataFrame:
    """Constants of the curve of the nominal budget and of the law of all budgets."""
    names = {"curve": f"{reference.reference_tokens / 1e6:g}M tokens", "law": "all budgets"}
    table = reference.params().map("{:.3g}".format)
    table.loc["curve", ["B", "beta"]] = "in E"
    return table.rename(index=names).rename_axis("fit").reset_index()


def scatter_text(reference: FittedReference) -> str:
    """What the early budgets do to the law, and the four standard deviations, as a sentence or two."""
    early, noise = reference.early, reference.noise
    first = ""
    if not math.isnan(early.residual):
        part = "take no part" if early.left_out else "take part"
        first = f"Early budgets lie {100 * early.residual:+.2f} % from the law of the later ones and {part}. "
    return f"{first}Standard deviations of the log loss: {_parts(noise)}."


def _parts(noise: Noise) -> str:
    names = {"order": "order of the data", "run": "run", "branch": "branch", "size": "lack of fit of a size"}
    return ", ".join(f"{text} {100 * getattr(noise, name):.2f} %" for name, text in names.items())


def controls_table(reference: FittedReference, size: str) -> pd.DataFrame:
    """Density of one size of the family at each of its budgets, with its two controls.

    Raises
    ------
    InputError : a size that the family lacks (lists its sizes).
    """
    rows = reference.rows
    check_choice("size", size, rows.sizes.index.tolist())
    own = rows.take(rows.size == size)
    table = []
    for tokens in own.budgets:
        part = own.at(tokens)
        found = capacity_density(
            np.exp(part.log_loss).tolist(),
            float(part.n_parameters[0]),
            tokens=tokens,
            reference=reference,
            orders=part.seed.tolist(),
            shape=size,
        )
        values = (found.estimate, found.rho_equal_tokens, found.rho_equal_compute)
        table.append((size, f"{tokens / 1e6:g}M", *(f"{value:.2f}" for value in values)))
    return pd.DataFrame(table, columns=["size", "tokens", "density", "at equal tokens", "at equal compute"])


def trunk_density(reference: FittedReference, gains: pd.DataFrame, size: str) -> Density:
    """Density that the undecayed trunk of a size would have, from what the decay gains there.

    Parameters
    ----------
    reference : of decayed branches. gains : from `decay_gains`. size : of the family.

    Raises
    ------
    InputError : a size without a measured gain at the nominal budget (lists those that have one).
    """
    check_columns("gains", gains.columns, ["size", "tokens", "n_parameters", "gain"])
    at = gains[gains["tokens"] == reference.reference_tokens].set_index("size")
    check_choice("size", size, at.index.tolist())
    one = at.loc[size]
    loss = float(reference.loss(one["n_parameters"])) / (1 - one["gain"])
    return capacity_density(loss, float(one["n_parameters"]), reference=reference, controls=False)


def common_budget(ladder: pd.DataFrame) -> float:
    """Largest budget that most sizes of a ladder have, in tokens."""
    check_columns("ladder", ladder.columns, ["size", "tokens"])
    sizes = ladder.groupby("tokens")["size"].nunique()
    return float(sizes.index[sizes == sizes.max()].max())


def resolution_table(resolution: pd.DataFrame) -> pd.DataFrame:
    """A table of `resolution`, numbers formatted."""
    return pd.DataFrame(
        {
            "size": resolution["size"],
            "parameters": resolution["n_parameters"].map("{:,.0f}".format),
            "half width of ln ρ": resolution["unpaired"].map("{:.3f}".format),
            "smallest difference, %": (100 * np.expm1(resolution["unpaired"])).map("{:.0f}".format),
        }
    )


def planted_ladder(seed: int = 0) -> pd.DataFrame:
    """A made-up ladder of a reader: five sizes, three budgets, two seeds, in bits per byte."""
    sizes = {"1M": 1e6, "3M": 3e6, "10M": 1e7, "30M": 3e7, "100M": 1e8}
    law = {"E": 0.7, "A": 12.0, "B": 900.0, "alpha": 0.2, "beta": 0.4}
    plan = family_plan(sizes, (2e7, 4e7, 8e7), 2, single=0)
    frame = simulate_family(law, Noise(0.001, 0.001, 0.001, 0.001), plan, seed=seed)
    return frame.rename(columns={METRIC: "bits_per_byte"})
