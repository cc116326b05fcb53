"""Everything that was recorded about the reference family, in one place."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import pandas as pd

from densing.data.paths import repository_root
from densing.data.provenance import record_file
from densing.lab.family.tables import trial_floor
from densing.lab.reference import planned, trajectory, tuning
from densing.lab.reference.recipe import LOWEST_WEIGHT, SKILLS_SHARE
from densing.lab.reference.store import BATTERY, load_reference_items, load_reference_runs
from densing.lab.reference.training import no_kept_states
from densing.lab.runs import RunSpec, load_runs
from densing.lab.sweeps import run_sweep

_ABOUT = ["item", "family", "grade", "kind", "group", "answer_tokens", "correct"]
_RUN = ["digest", "row", "size", "n_parameters", "seed", "tokens", "skills_share", "lowest_weight"]


@dataclass(frozen=True, eq=False)
class ReferenceStudy:
    """The recorded tables of the reference family.

    Attributes
    ----------
    runs : decayed branches, a row a size, seed and budget. items : log-probabilities of the battery's items under each.
    trajectory : undecayed snapshots of the trunks. planned : runs planned for one budget under a cosine.
    trial, trial_items : branches of the trial of the mixture, and their items.
    """

    runs: pd.DataFrame
    items: pd.DataFrame
    trajectory: pd.DataFrame
    planned: pd.DataFrame
    trial: pd.DataFrame
    trial_items: pd.DataFrame


def recorded_study(specs: Sequence[RunSpec] | None = None, *, fresh: bool = False) -> ReferenceStudy:
    """Read the recorded tables; with `specs`, put runs of that plan in the place of the recorded branches.

    Parameters
    ----------
    specs : of `reference_plan`; what is not recorded of it is trained. None: the recorded branches.
    fresh : train all of `specs` again.

    Raises
    ------
    InputError : a sweep that is not recorded (lists those that are).
    """
    items = load_reference_items()
    if specs is None:
        runs = load_reference_runs()
    else:
        with no_kept_states() if fresh else nullcontext():
            runs, found = run_sweep(specs, fresh=fresh, items=True)
        items = describe_items(found, runs, items)
    return ReferenceStudy(
        runs,
        items,
        load_runs(trajectory.SWEEP),
        load_runs(planned.SWEEP),
        trial := load_runs(tuning.TRIAL_SWEEP),
        describe_items(load_runs(tuning.TRIAL_SWEEP, items=True), trial, items),
    )


def describe_items(items: pd.DataFrame, runs: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Item rows of a sweep with the run that each is from and what each item is.

    Parameters
    ----------
    items : digest, row, item and log-probabilities. runs : rows of the same sweep.
    known : a table that says what items are, such as `load_reference_items`; items that it lacks are left out.
    """
    about = known[[name for name in _ABOUT if name in known]].drop_duplicates("item")
    return _of_runs(runs, items).merge(about, on="item", validate="many_to_one")


def _of_runs(runs: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    of = runs[[name for name in _RUN if name in runs]]
    return of.merge(items, on=["digest", "row"]).drop(columns=["digest", "row"])


def recorded_floor_rule() -> pd.DataFrame:
    """Which families left the floor in the recorded trial, under the mixture that was frozen; see `floor_rule`.

    Raises
    ------
    InputError : the trial is not recorded.
    """
    battery = pd.read_parquet(record_file(repository_root() / "data" / "runs" / f"{BATTERY}.parquet"))
    trial = load_runs(tuning.TRIAL_SWEEP)
    items = describe_items(load_runs(tuning.TRIAL_SWEEP, items=True), trial, battery)
    return trial_floor(trial, items)[SKILLS_SHARE, LOWEST_WEIGHT]
