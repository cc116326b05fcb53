"""Density of the recorded variants over that of their parents, draw by draw."""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from densing.checks import check_choice, check_columns, check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.fitters.multiplicity import holm
from densing.lab.variants.documents import document_shifts
from densing.lab.variants.plan import VARIANTS
from densing.lab.yardstick.curves import effective_parameters
from densing.lab.yardstick.density import capacity_density
from densing.lab.yardstick.fitted import FittedReference, fit_reference
from densing.lab.yardstick.rows import METRIC, REFERENCE_TOKENS

#: Variants that are trained from the start, so that a run's own luck differs from its parent's.
TRAINED = ("shuffled", "distilled")
#: What N counts: the weights that are kept, or stored numbers of 16 bits.
ACCOUNTS = {"int8": "bits", "int4": "bits", "shuffled": "data"}


def density_ratios(
    variants: pd.DataFrame,
    reference: FittedReference | pd.DataFrame | None = None,
    documents: Mapping[str, tuple[NDArray, NDArray]] | None = None,
    *,
    level: float = 0.95,
    draws: int = 2_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Density of each variant over that of its parent, the family's member of the same size, seeds and order of text.

    ln(rho' / rho) = ln N_eff(L') - ln N_eff(L) - ln(N' / N), both effective sizes read off the same drawn curve of the
    reference budget, L' and L geometric means over the common seeds. What seed and order do to parent and variant
    cancels. A variant made from its parent's weights keeps the scatter of the differences over seeds (Student's t); one
    trained anew has that of two runs of the family.

    Parameters
    ----------
    variants : rows of ``density_variants``: variant, size, seed, tokens, new_tokens, n_kept, n_stored,
        bits_per_byte_val_b.
    reference : fitted to bits per byte, its table, or None for the recorded family.
    documents : from `variant_document_nats`; the evaluation documents are resampled too, the same for variant and
        parent. A variant that it lacks keeps all documents.
    level : of the intervals. draws : refits. seed : of the simulation; the last two are a fitted reference's own.

    Returns
    -------
    One row a variant, in the order of `VARIANTS`: variant, title, parent, account ("parameters", "bits", "data"),
    seeds, size_ratio (N' / N), loss, parent_loss, ratio, lower, upper, p (two-sided, of a ratio of 1, Holm-adjusted
    over the rows), lower_holm, upper_holm (of the level at which Holm's procedure judges the row), density,
    density_lower, density_upper (against the family at all the tokens that parent and variant saw, one after the
    other; all documents), extrapolated (N_eff(L') beyond the family's sizes by a factor of two).

    Raises
    ------
    InputError : a missing column, an unknown variant, one seed only, or a parent that the family lacks.
    """
    check_columns(
        "variants",
        variants.columns,
        ["variant", "size", "seed", "tokens", "new_tokens", "n_kept", "n_stored", METRIC],
    )
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    for name in variants["variant"].unique():
        check_choice("variant", name, VARIANTS)
    if not isinstance(reference, FittedReference):
        reference = fit_reference(reference, draws=draws, seed=seed)
    rows, logs = [], []
    for place, name in enumerate(VARIANTS):
        own = variants[variants["variant"] == name].sort_values("seed")
        if len(own):
            nats = (documents or {}).get(name)
            shift = 0.0 if nats is None else document_shifts(nats, reference.draws, reference.seed)
            row, log_draws = _ratio(own, reference, shift, [reference.seed, 7, place])
            rows.append(row)
            logs.append(log_draws)
    table = pd.DataFrame(rows)
    below = np.array([(one <= 0).mean() for one in logs])
    least = 1 / (reference.draws + 1)
    p = np.clip(2 * np.minimum(below, 1 - below), least, 1.0)
    table["p"] = holm(p)
    shares = _holm_shares(p, 1 - level)
    for suffix, share in (("", np.full(len(table), 1 - level)), ("_holm", shares)):
        ends = [np.exp(np.quantile(one, [a / 2, 1 - a / 2])) for one, a in zip(logs, share, strict=True)]
        table[f"lower{suffix}"], table[f"upper{suffix}"] = np.array(ends).T
    return table


def ratios_table(ratios: pd.DataFrame) -> pd.DataFrame:
    """A table of `density_ratios`, formatted for a page."""
    return pd.DataFrame(
        {
            "variant": ratios["title"],
            "parent": ratios["parent"],
            "N counts": ratios["account"].map(
                {"parameters": "weights kept", "bits": "bits / 16", "data": "weights"}
            ),
            "N′/N": ratios["size_ratio"].map("{:.2f}".format),
            "loss (parent)": [f"{r.loss:.3f} ({r.parent_loss:.3f})" for r in ratios.itertuples()],
            "ρ′/ρ [95 %]": _intervals(ratios, "ratio", "lower", "upper"),
            "[Holm]": [f"[{r.lower_holm:.2f}, {r.upper_holm:.2f}]" for r in ratios.itertuples()],
            "ρ′ [95 %]": _intervals(ratios, "density", "density_lower", "density_upper"),
        }
    )


def _holm_shares(p: NDArray, share: float) -> NDArray:
    """Share at which Holm's procedure judges each p: of m, share / m for the smallest, then share / (m - 1), and so on.

    It stops at the first p above its share, so that all later ones are judged at that share too.
    """
    shares, current, rejecting = np.empty(len(p)), share, True
    for rank, k in enumerate(np.argsort(p, kind="stable")):
        if rejecting:
            current = share / (len(p) - rank)
        shares[k], rejecting = current, rejecting and p[k] <= current
    return shares


def _intervals(ratios: pd.DataFrame, *names: str) -> list[str]:
    return [f"{a:.2f} [{b:.2f}, {c:.2f}]" for a, b, c in ratios[list(names)].itertuples(index=False)]


def _ratio(
    own: pd.DataFrame, reference: FittedReference, shift: NDArray | float, seed: list[int]
) -> tuple[dict, NDArray]:
    name, size = own["variant"].iloc[0], own["size"].iloc[0]
    rows = reference.rows.at(REFERENCE_TOKENS)
    members = {s: k for k, s in enumerate(rows.seed) if rows.size[k] == size}
    lacking = sorted(set(own["seed"]) - set(members))
    if lacking:
        raise InputError(f"variants: {name} of seed {lacking[0]} has no parent {size} in the reference")
    if len(own) < 2:
        raise InputError(f"variants: {name} has one seed, must have two or more")
    at = [members[s] for s in own["seed"]]
    parent, change = rows.log_loss[at], np.log(own[METRIC].to_numpy(float)) - rows.log_loss[at]
    account = ACCOUNTS.get(name, "parameters")
    count = own["n_stored" if account == "bits" else "n_kept"].mean()
    n_parent = float(rows.n_parameters[at[0]])
    rng = np.random.default_rng(seed)
    if name in TRAINED:
        error = math.sqrt(2) * reference.noise.pooled_run * rng.standard_normal(reference.draws)
    else:
        error = change.std(ddof=1) * rng.standard_t(len(own) - 1, reference.draws)
    moved = parent.mean() + change.mean() + error / math.sqrt(len(own)) + shift
    theta = reference.curve_draws[1]

    def log_size(curve: NDArray, log_loss) -> NDArray:
        with np.errstate(divide="ignore"):
            return np.log(effective_parameters(curve, np.exp(log_loss), REFERENCE_TOKENS))

    fixed = reference.curve.theta
    effective = log_size(fixed, parent.mean() + change.mean())
    log_ratio = effective - log_size(fixed, parent.mean()) - math.log(count / n_parent)
    log_draws = log_size(theta, moved) - log_size(theta, parent.mean()) - math.log(count / n_parent)
    low, high = reference.size_range
    density = _density(own, reference, count)
    row = {
        "variant": name,
        "title": VARIANTS[name]["title"],
        "parent": size,
        "account": account,
        "seeds": len(own),
        "size_ratio": count / n_parent,
        "loss": math.exp(parent.mean() + change.mean()),
        "parent_loss": math.exp(parent.mean()),
        "ratio": math.exp(log_ratio),
        "density": density.value,
        "density_lower": density.lower,
        "density_upper": density.upper,
        "extrapolated": not low <= math.exp(effective) <= high,
    }
    return row, np.where(np.isnan(log_draws), 0.0, log_draws)


def _density(own: pd.DataFrame, reference: FittedReference, count: float) -> Estimate:
    """Density against the family at the variant's own tokens and its parent's together."""
    tokens = float(own["tokens"].iloc[0])
    if own["variant"].iloc[0] not in TRAINED:
        tokens += float(own["new_tokens"].iloc[0])
    losses, orders = own[METRIC].tolist(), own["seed"].tolist()
    found = capacity_density(losses, count, tokens=tokens, orders=orders, reference=reference, controls=False)
    return found.estimate if tokens == reference.reference_tokens else found.rho_equal_tokens
