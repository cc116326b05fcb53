"""Made-up passes whose law is known: controls for the analysis, and the table of the section for own data."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range
from densing.lab.reference.recipe import SIZES

#: Made-up tasks: mean level of F at the middle size, mean exponent, and bend.
PLANTED_TASKS = {
    "copy-4": (1.2, 0.30, 0.0),
    "sort-3": (1.6, 0.22, 0.0),
    "steps-2": (2.0, 0.15, 0.0),
    "add-2": (1.0, 0.2, -0.08),
}


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


def planted_pass_items(
    *,
    instances: int = 60,
    seeds: int = 3,
    model_sd: float = 0.08,
    scatter: float = 0.15,
    passes: int = 10,
    max_samples: int = 5_000,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and items as the sweep records them, of tasks that obey the law instance by instance (one bends).

    Parameters
    ----------
    instances, seeds : of every task; of every size.
    model_sd : scatter of F between members of a size. scatter : of an instance's F under one member.
    passes, max_samples : as the sweep's.
    seed : of everything random.
    """
    check_range("instances", instances, 5, integer=True)
    rng = np.random.default_rng(seed)
    log_size = np.log([shape.n_parameters for shape in SIZES.values()])
    x = log_size - log_size.mean()
    rows, items = [], []
    lines = {
        task: (rng.normal(level, 0.5, instances), rng.normal(alpha, 0.04, instances), bend)
        for task, (level, alpha, bend) in PLANTED_TASKS.items()
    }
    for j, (size, shape) in enumerate(SIZES.items()):
        for member in range(seeds):
            for i, (task, (level, alpha, bend)) in enumerate(lines.items()):
                F = level - alpha * x[j] + bend * x[j] ** 2 + rng.normal(0, model_sd)
                log_p = -np.exp(F + rng.normal(0, scatter, instances))
                blind = log_p - 2 - rng.exponential(0.5, instances)
                s, k, cut = stopped_counts(np.exp(log_p), passes, max_samples, int(rng.integers(2**32)))
                family, _, grade = task.rpartition("-")
                about = {"digest": f"{size}-{member}", "row": i}
                rows.append(
                    about
                    | {"size": size, "n_parameters": shape.n_parameters, "seed": member, "tokens": 4_000_000}
                    | {"family": family, "grade": int(grade), "n": instances}
                    | {"greedy_passes": int((log_p > np.log(0.5)).sum()), "greedy_n": instances}
                )
                items += [
                    about
                    | {
                        "item": f"{task}-{n}",
                        "passes": int(s[n]),
                        "samples": int(k[n]),
                        "censored": bool(cut[n]),
                    }
                    | {"log_p": log_p[n], "blind_log_p": blind[n]}
                    for n in range(instances)
                ]
    return pd.DataFrame(rows), pd.DataFrame(items)


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
