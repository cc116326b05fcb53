"""Made-up passes whose law is known: of the sampling itself, and the table of the section for own data."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range


def stopped_counts(
    p: ArrayLike, passes: int, max_samples: int, seed: int = 0
) -> tuple[NDArray, NDArray, NDArray]:
    """Passes, samples and whether the cap ended it, of sampling until so many passes at rates `p` (n,)."""
    check_range("passes", passes, 1, integer=True)
    check_range("max_samples", max_samples, passes, integer=True)
    rng = np.random.default_rng(seed)
    p = np.atleast_1d(np.asarray(p, float))
    # the generator refuses rates too small to matter
    samples = passes + rng.negative_binomial(passes, np.clip(p, 1e-12, 1.0))
    cut = samples > max_samples
    found = np.full(len(p), passes)
    for i in np.flatnonzero(cut):  # fewer than the passes wanted: binomial, given that
        ways = np.arange(passes)
        log_weight = _log_binomial(max_samples, ways, p[i])
        weight = np.exp(log_weight - log_weight.max())
        found[i] = rng.choice(ways, p=weight / weight.sum())
    return found, np.where(cut, max_samples, samples), cut


def _log_binomial(n: int, k: NDArray, p: float) -> NDArray:
    from scipy.stats import binom

    return binom.logpmf(k, n, max(p, 1e-300))


def planted_pass_counts(seed: int = 0) -> pd.DataFrame:
    """Pass counts of one made-up task under six made-up models: size, instance, passes, samples, censored."""
    rng = np.random.default_rng(seed)
    size = np.geomspace(1e8, 3e9, 6)
    x = np.log(size) - np.log(size).mean()
    level, alpha = rng.normal(1.4, 0.5, 40), rng.normal(0.25, 0.05, 40)
    F = level[:, None] - alpha[:, None] * x + rng.normal(0, 0.05, 6) + rng.normal(0, 0.1, (40, 6))
    frames = []
    for j, n in enumerate(size):
        s, k, cut = stopped_counts(np.exp(-np.exp(F[:, j])), 10, 2_000, seed + j)
        columns = {"passes": s, "samples": k, "censored": cut}
        frames.append(
            pd.DataFrame({"size": round(n), "instance": [f"problem {i}" for i in range(40)], **columns})
        )
    return pd.concat(frames, ignore_index=True)


def simulated_bias(
    rates: ArrayLike, passes: int, runs: int = 20_000, seed: int = 0
) -> tuple[NDArray, NDArray]:
    """Mean of passes / samples over the true rate, and its standard error, at each rate, simulated without a cap."""
    check_range("runs", runs, 2, integer=True)
    rng = np.random.default_rng(seed)
    rates = np.asarray(rates, float)
    waits = passes + rng.negative_binomial(passes, rates[:, None], (len(rates), int(runs)))
    ratio = passes / waits / rates[:, None]
    return ratio.mean(1), ratio.std(1, ddof=1) / np.sqrt(runs)
