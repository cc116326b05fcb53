"""The task scaling law, fitted to pass counts or exact pass probabilities of models of several sizes."""

import numpy as np
import pandas as pd

from densing.checks import check_choice, check_flag, check_range
from densing.errors import InputError
from densing.fitters.task_scaling.hierarchy import fit_instances
from densing.fitters.task_scaling.likelihood import ExactCells
from densing.fitters.task_scaling.line import LineFit, fit_line, powers
from densing.fitters.task_scaling.results import InstanceResults, TestSetResults
from densing.fitters.task_scaling.tables import PassTable, pass_table

UNITS = ("testset", "instance")
METHODS = ("likelihood", "least_squares")
_FEWEST_INSTANCES = 5


class TaskScalingLaw:
    """Estimator of p(N) = exp(-c N^-alpha), a straight line of F = ln(-ln p) on ln N.

    Parameters
    ----------
    method : ``"likelihood"`` of the counts: zeros and rows that were cut say what they know. ``"least_squares"`` on F,
        weighted by the delta method, as in the paper; undefined where no sample passes, or all do.
    between_models : let the F of a model scatter around the law by more than its samples explain (training runs
        differ). False: the counts are the only noise, and the fit is a binomial regression with the complementary
        log-log link.
    level : of all intervals.

    References
    ----------
    Hu et al. (2023), arXiv 2310.03262.
    """

    def __init__(
        self, method: str = "likelihood", *, between_models: bool = True, level: float = 0.95
    ) -> None:
        check_choice("method", method, METHODS)
        check_flag("between_models", between_models)
        check_range("level", level, 0, 1, open_low=True, open_high=True)
        self.method, self.between_models, self.level = method, between_models, float(level)

    def fit(self, counts: pd.DataFrame, unit: str = "testset") -> TestSetResults | InstanceResults:
        """Fit the law.

        Parameters
        ----------
        counts : one row an instance and model: size (parameters), instance, passes, samples, censored (the cap on
            samples ended the row), or log_p, the exact log-probability, in their place; optionally model, which tells
            models of one size apart. Every model has the same instances.
        unit : ``"testset"``: one law for the mean rate over the instances. ``"instance"``: a law for every instance,
            shrunk toward the others, and the mean of their predictions; the mean of many laws is no such law.

        Raises
        ------
        InputError : an unknown unit, a table that cannot be used, fewer than three sizes, or no pass at all (with
            ``"least_squares"``: none, or nothing but passes, at some size).
        FitError : the likelihood has no maximum.
        """
        check_choice("unit", unit, UNITS)
        table = pass_table(counts)
        self._check(table)
        line = self._line(table)
        if unit == "testset":
            return TestSetResults(table, self.level, line, self.method)
        if len(table.instances) < _FEWEST_INSTANCES:
            raise InputError(
                f"counts: {len(table.instances)} instances; unit = 'instance' needs at least {_FEWEST_INSTANCES}"
            )
        if not self.between_models:
            raise InputError(
                "between_models = False: not for unit = 'instance', whose intervals rest on the scatter"
            )
        return InstanceResults(table, self.level, line, self.method, fit_instances(table))

    def _check(self, table: PassTable) -> None:
        if table.exact:
            if not self.between_models:
                raise InputError("between_models = False: exact probabilities have no other noise")
            if not np.isfinite(table.log_p).all():
                raise InputError("counts: 'log_p' must be finite")
            certain = (table.log_p == 0).all(0)
            if certain.any():
                raise InputError(
                    f"counts: every probability is 1 at size {table.size[np.argmax(certain)]:g}, where F is undefined"
                )
            return
        passes, failures = table.passes.sum(0), (table.samples - table.passes).sum(0)
        if not passes.sum() or not failures.sum():
            raise InputError(
                "counts: nothing passed at any size" if not passes.sum() else "counts: nothing failed"
            )
        if self.method == "least_squares":
            for what, total in (("passed", passes), ("failed", failures)):
                if not total.all():
                    raise InputError(
                        f"counts: no sample {what} at size {table.size[np.argmin(total)]:g}, where F is undefined; "
                        "use method = 'likelihood'"
                    )

    def _line(self, table: PassTable) -> LineFit:
        cells = table.cells()
        if self.method == "least_squares" and not cells.exact:
            rate = cells.passes / cells.samples
            # delta method: Var F = Var p / (p ln p)^2
            precision = cells.samples * rate * np.log(rate) ** 2 / (1 - rate)
            cells = ExactCells(np.log(-np.log(rate)), precision / precision.mean())
        return fit_line(powers(table.size, 1), cells, self.between_models or cells.exact)
