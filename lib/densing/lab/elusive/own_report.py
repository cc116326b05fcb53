"""What a reader's own items say: predictability by stage, whose movement it is, and the next scale's accuracy."""

import numpy as np
import pandas as pd

from densing.checks import check_range
from densing.evaluation.predictability.correlations import LEAST_SCALES
from densing.evaluation.predictability.drops import frozen_medians, stage_drops
from densing.evaluation.predictability.movement import margin_variance
from densing.evaluation.predictability.stages import STAGES
from densing.fitters.choice_scaling.forecast import JointChoiceForecast
from densing.lab.elusive.accuracy_forecasts import forecast_accuracy, largest_held_out
from densing.lab.elusive.charts import STAGE_NAMES
from densing.lab.elusive.forecast_charts import METHOD_NAMES
from densing.lab.elusive.items import TaskScores
from densing.lab.elusive.stage_study import loss_resolved, recovered_share


def own_report(
    task: TaskScores,
    target_compute: float,
    *,
    kind: str = "spearman",
    draws: int = 500,
    simulations: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Two columns, quantity and value (text), about one task.

    Parameters
    ----------
    task : from `read_choice_scores`.
    target_compute : where accuracy is forecast, > 0, in the unit of the task's compute.
    kind : of the correlation in the rows on stages.
    draws : of bootstraps. simulations : of forecasts. seed : of both.

    Returns
    -------
    Median |correlation| by stage; share of the loss that freezing the incorrect choices recovers (Pearson); how much of
    the right choice's movement is left in the log odds, and whose it is; accuracy at the target with its interval; with
    two scales to spare, the errors of all methods on the two largest.
    """
    check_range("target_compute", target_compute, 0, open_low=True)
    scores = task.scores
    drops = stage_drops(scores, STAGES, kind, draws=draws, seed=seed)
    rows = [(f"median |{kind}| with compute, {STAGE_NAMES[s]}", f"{drops.medians[s]:.2f}") for s in STAGES]
    rows.append(("items whose accuracy never changes", f"{drops.constant_shares['accuracy']:.0%}"))
    frozen = frozen_medians(scores, "pearson", draws=draws, seed=seed)
    recovered = f"{recovered_share([frozen]):.2f}" if loss_resolved(frozen) else "no resolved loss"
    rows.append(("loss from p to p among choices that freezing recovers (Pearson)", recovered))
    parts = margin_variance(scores)
    left, share = np.nanmedian(parts.margin / parts.correct), np.nanmedian(parts.incorrect_share)
    rows.append(("variance of the log odds over that of log p, median item", f"{left:.2f}"))
    rows.append(("incorrect choices' share of the log odds' variance, median item", f"{share:.0%}"))
    law = JointChoiceForecast(draws=simulations, seed=seed)
    ahead = law.fit(scores.log_p, scores.correct, scores.compute, scores.mask).predict([target_compute])
    ends = f"[{ahead.accuracy_lower[0]:.3f}, {ahead.accuracy_upper[0]:.3f}]"
    rows.append((f"accuracy forecast at {target_compute:.3g}", f"{ahead.accuracy[0]:.3f} {ends}"))
    if scores.scales >= LEAST_SCALES + 2:
        held_out = largest_held_out(task, "compute")
        study = forecast_accuracy(task, held_out, simulations=simulations, draws=draws, seed=seed)
        rows += [
            (f"error on the two largest scales in points, {METHOD_NAMES[name]}", f"{100 * error:.2f}")
            for name, error in study.errors.items()
        ]
    return pd.DataFrame(rows, columns=["quantity", "value"])
