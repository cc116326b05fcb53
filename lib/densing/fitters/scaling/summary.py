"""A fit as a table for people."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from statsmodels.iolib.summary import Summary

    from densing.fitters.scaling.results import ScalingLawResults


def summary_tables(results: "ScalingLawResults", level: float) -> "Summary":
    """A statsmodels ``Summary``: how it was fitted, the parameters, and remarks."""
    from statsmodels.iolib.summary import Summary
    from statsmodels.iolib.table import SimpleTable

    resamples = 0 if results.bootstrap_params is None else len(results.bootstrap_params)
    spread = "log residuals" if results.scale == "log" else "residuals"
    left = [
        ("Law:", results.law.name),
        ("Rows:", str(results.nobs)),
        ("Df residuals:", str(results.df_resid)),
        (
            "Loss:",
            f"{results.loss}, {spread}" + (f", delta {results.delta:.3g}" if results.loss == "huber" else ""),
        ),
    ]
    right = [
        ("Objective:", f"{results.fun:.6g}"),
        ("Converged:", "yes" if results.converged else "no"),
        ("Start agreement:", f"{results.start_agreement:.0%}"),
        ("Resamples:", f"{resamples} ({results.optimizer['resampling']})" if resamples else "none"),
    ]
    head = SimpleTable(
        [[*a, *b] for a, b in zip(left, right, strict=True)], title=f"y = {results.law.equation}"
    )
    ends = results.conf_int(level)
    rows = [
        [f"{value:.6g}", f"{results.bse[name]:.3g}", f"{ends.lower[name]:.5g}", f"{ends.upper[name]:.5g}"]
        for name, value in results.params.items()
    ]
    tail = (1 - level) / 2
    body = SimpleTable(
        rows,
        headers=["estimate", "std err", f"[{tail:.3g}", f"{1 - tail:.3g}]"],
        stubs=list(results.params.index),
    )
    summary = Summary()
    summary.tables = [head, body]
    remarks = [
        f"{name}: not identified, at a bound in the fit or in many resamples."
        for name in results.not_identified
    ]
    if not results.converged:
        remarks.append("The optimiser did not converge: compare starts, or fix a parameter.")
    if results.optimizer["resamples_converged"] < 0.95:
        part = results.optimizer["resamples_converged"]
        remarks.append(
            f"Only {part:.0%} of the resamples converged: the data hardly determine all parameters."
        )
    if results.start_agreement < 0.05:
        remarks.append("Fewer than one start in twenty reached the optimum: try more starts.")
    summary.add_extra_txt(remarks)
    return summary
