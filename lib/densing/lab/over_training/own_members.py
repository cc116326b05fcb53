"""The law of over-training on the book's own family: extrapolation, and whether its lines are parallel."""

import pandas as pd

from densing.checks import check_columns
from densing.errors import InputError
from densing.fitters.overtraining.estimator import OverTraining
from densing.fitters.overtraining.interaction import MultiplierInteraction, multiplier_interaction

LOSS = "bits_per_byte_val_b"
LARGEST_FITTED = 250_000  # parameters: the four smallest sizes
LARGEST_MULTIPLIER = 80
#: Size and tokens of the members that are predicted.
PREDICTED = (
    ("d0.01M", 4_000_000), ("d0.01M", 8_000_000), ("d0.4M", 8_000_000), ("d0.9M", 8_000_000)
)  # fmt: skip


def forecast_members(
    family: pd.DataFrame, *, loss: str = LOSS, bootstrap: int = 1_000, level: float = 0.95, seed: int = 0
) -> pd.DataFrame:
    """Fit the four smallest sizes at up to 80 tokens per parameter, predict members that are larger or over-trained.

    Parameters
    ----------
    family : rows of the reference family (`load_reference_runs`).
    loss : column, bits per byte.
    bootstrap : resamples of whole runs, at least 50.
    level : of the prediction intervals.
    seed : of the resamples.

    Returns
    -------
    One row a predicted member: size, tokens, multiplier, seeds (how many runs its mean is over), loss, predicted,
    lower, upper (prediction interval of a run), error_pct and inside.

    Raises
    ------
    InputError : a missing column, or a family without one of the predicted members (named).
    """
    check_columns("family", family.columns, ["size", "seed", "n_parameters", "tokens", loss])
    runs = family.assign(
        multiplier=family["tokens"] / family["n_parameters"],
        run=family["size"] + "-" + family["seed"].astype(str),
    )
    fitted = (runs["n_parameters"] <= LARGEST_FITTED) & (runs["multiplier"] <= LARGEST_MULTIPLIER)
    means = runs.groupby(["size", "tokens"]).agg(
        n_parameters=("n_parameters", "first"), loss=(loss, "mean"), seeds=("seed", "nunique")
    )
    absent = [
        f"{size} at {tokens / 1e6:g}M tokens"
        for size, tokens in PREDICTED
        if (size, tokens) not in means.index
    ]
    if absent:
        raise InputError(f"family: has no {', '.join(absent)}")
    targets = means.loc[list(PREDICTED)].reset_index()
    law = OverTraining(runs, loss=loss, params="n_parameters", fit_rows=fitted.to_numpy(), groups="run")
    found = law.fit(bootstrap=bootstrap, seed=seed).predict(targets["n_parameters"], targets["tokens"], level)
    targets = targets.assign(
        multiplier=targets["tokens"] / targets["n_parameters"],
        predicted=found["loss"],
        lower=found["loss_obs_lower"],
        upper=found["loss_obs_upper"],
    )
    targets["error_pct"] = 100 * (targets["predicted"] / targets["loss"] - 1).abs()
    targets["inside"] = targets["loss"].between(targets["lower"], targets["upper"])
    return targets


def member_interaction(
    family: pd.DataFrame, *, loss: str = LOSS, bootstrap: int = 500, level: float = 0.95, seed: int = 0
) -> MultiplierInteraction:
    """Whether the exponent of the family's reducible loss against compute depends on the tokens per parameter.

    The family's multipliers are all different, so a quadratic in ln M stands for the constants of the lines.

    Parameters
    ----------
    family : rows of the reference family.
    loss : column, bits per byte.
    bootstrap, level, seed : as `multiplier_interaction`.
    """
    return multiplier_interaction(
        family,
        loss=loss,
        params="n_parameters",
        constants="quadratic",
        bootstrap=bootstrap,
        level=level,
        seed=seed,
    )
