"""The paper's three corollaries beside what its own inputs give."""

import pandas as pd

from densing.fitters.trends.breakpoint import BreakpointResults


def corollary_table(
    price: float, moore: float, increase: float, bent: BreakpointResults, date: str
) -> pd.DataFrame:
    """Published and recomputed values, and the growth rate before and after a date on a table of models.

    Parameters
    ----------
    price : halving time of the price, months. moore : doubling time of the effective size at constant price, days.
    increase : relative increase of the rate of growth.
    bent : from `breakpoint_test` at the date. date : as it is to be written.

    References
    ----------
    Xiao et al. (2024), arXiv 2412.04315, for the published values.
    """
    tested = (
        f"{bent.ratio:.2f}, p = {bent.p:.2g}" if bent.p >= 0 else f"untested: {bent.n_before} models before"
    )
    rows = [
        (
            "price halves (20 to 0.075 dollars a million tokens, 20 months)",
            "2.6 months",
            f"{price:.2f} months",
        ),
        ("effective size at constant price doubles (3.3 months, 2.1 years)", "88 days", f"{moore:.1f} days"),
        ("growth rate after ChatGPT over before (4.8 and 3.2 months)", "1.5", f"{1 + increase:.2f}"),
        (f"the same on this table, two pieces joined at {date}", "", tested),
    ]
    return pd.DataFrame(rows, columns=["corollary", "published", "here"])
