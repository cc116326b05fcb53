"""The common fitter against the published procedure, timed in turn in one process on one thread.

``python -m densing.lab.fitting.speed`` records ``data/runs/fitter_speed.csv`` and ``data/runs/fitter_trace.csv``.
"""

import argparse
from time import perf_counter, process_time

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from densing.checks import check_range
from densing.data.published import load_published
from densing.fitters.scaling.estimator import ScalingLaw
from densing.fitters.scaling.reference import PUBLISHED_STARTS, published_grid_fit
from densing.fitters.scaling.resampling import case_weights
from densing.lab.runs import RunSpec
from densing.lab.sweeps import run_sweep

COLUMNS = {"N": "params", "D": "tokens", "y": "loss_nats"}
GRADIENTS = ("numeric", "analytic")


def chinchilla_runs(all_rows: bool = False) -> pd.DataFrame:
    """The digitised Chinchilla runs, 240 without the five lowest tokens per parameter; 245 with `all_rows`.

    Raises
    ------
    ExternalDataMissing : the table is not on this machine.
    """
    runs = load_published("chinchilla_runs")
    if all_rows:
        return runs
    return runs[runs["besiroglu_excluded"] == 0].reset_index(drop=True)


def speed_specs(
    *, share: float = 0.05, rounds: int = 3, compared: int = 100, resamples: int = 1000
) -> list[RunSpec]:
    """The rounds of the comparison, each with numeric and with analytic gradients; a seed each.

    Parameters
    ----------
    share : random share of the 4,500 starts that the baseline runs in each round; its time is scaled up.
    compared : resamples that both fit; the baseline's time for them is scaled to `resamples`.
    """
    check_range("share", share, 0, 1, open_low=True)
    check_range("rounds", rounds, 1, 100, integer=True)
    check_range("compared", compared, 1, 100_000, integer=True)
    return [
        RunSpec(
            "fitter_speed",
            "densing.lab.fitting.speed:time_round",
            {"gradients": kind, "seed": i, "share": share, "compared": compared, "resamples": resamples},
        )
        for i in range(rounds)
        for kind in GRADIENTS
    ]


def time_round(config: dict) -> list[dict]:
    """Time our fit, the published procedure and our fit again, on one thread.

    Returns
    -------
    One row: seconds of both (wall and CPU; ours the mean of two), their ratios, both objectives, the largest relative
    excess of ours over the baseline's on the fit and on the compared resamples, and the share of starts that reached
    the best objective.
    """
    runs = chinchilla_runs()
    size, tokens, loss = (runs[c].to_numpy(dtype=float) for c in COLUMNS.values())
    seed, resamples = config["seed"], config["resamples"]
    weights = case_weights(np.random.default_rng(seed), config["compared"], len(runs), None)
    with threadpool_limits(limits=1):
        ScalingLaw("chinchilla", runs, columns=COLUMNS).fit(bootstrap=50)  # imports and caches are not timed
        before = _ours(runs, weights, resamples, seed)
        base = published_grid_fit(
            size,
            tokens,
            loss,
            gradients=config["gradients"],
            share=config["share"],
            weights=weights,
            resamples=resamples,
            seed=seed,
        )
        after = _ours(runs, weights, resamples, seed)
    wall, cpu = (0.5 * (before[k] + after[k]) for k in ("wall", "cpu"))
    excess = np.append(after["resampled"] / base.resampled_fun - 1, after["fun"] / base.fun - 1)
    return [
        {
            "row": 0,
            "kind": config["gradients"],
            "rows": len(runs),
            "starts_timed": base.starts,
            "starts_published": PUBLISHED_STARTS,
            "baseline_wall_s": base.wall_seconds,
            "baseline_cpu_s": base.cpu_seconds,
            "ours_wall_s": wall,
            "ours_cpu_s": cpu,
            "ratio_wall": base.wall_seconds / wall,
            "ratio_cpu": base.cpu_seconds / cpu,
            "baseline_objective": base.fun,
            "objective": after["fun"],
            "worst_excess": float(excess.max()),
            "baseline_agreement": base.agreement,
            "start_agreement": after["agreement"],
        }
    ]


def _ours(runs, weights, resamples, seed) -> dict:
    clock = perf_counter(), process_time()
    fit = ScalingLaw("chinchilla", runs, columns=COLUMNS).fit(bootstrap=resamples, seed=seed)
    passed = perf_counter() - clock[0], process_time() - clock[1]
    return {
        "wall": passed[0],
        "cpu": passed[1],
        "fun": fit.fun,
        "agreement": fit.start_agreement,
        "resampled": fit.refit(weights)[1],
    }


def trace_specs(*, starts: int = PUBLISHED_STARTS) -> list[RunSpec]:
    """The best objective so far against time, for both methods; one run of `starts` starts of the baseline each."""
    check_range("starts", starts, 1, PUBLISHED_STARTS, integer=True)
    task = "densing.lab.fitting.speed:trace_objective"
    return [RunSpec("fitter_trace", task, {"method": m, "starts": starts}) for m in (*GRADIENTS, "batched")]


def trace_objective(config: dict) -> list[dict]:
    """Seconds, and the excess of the best objective so far over the optimum (relative), wherever it falls.

    The published procedure takes its starts in random order, one after the other; our fit takes all its starts at
    once, so its points are where it stands after 1, 2, 4, ... iterations.
    """
    runs, method = chinchilla_runs(), config["method"]
    problem = ScalingLaw("chinchilla", runs, columns=COLUMNS)
    with threadpool_limits(limits=1):
        best = problem.fit(bootstrap=0).fun
        if method == "batched":
            points = []
            for limit in (1, 2, 4, 6, 8, 11, 16, 20, 24, 28, 32, 40, 50, 64):
                clock = perf_counter()
                fun = problem.fit(bootstrap=0, iterations=limit).fun
                points.append((perf_counter() - clock, fun))
        else:
            size, tokens, loss = (runs[c].to_numpy(dtype=float) for c in COLUMNS.values())
            share = config["starts"] / PUBLISHED_STARTS
            fit = published_grid_fit(size, tokens, loss, gradients=method, share=share)
            so_far = np.minimum.accumulate(np.where(np.isfinite(fit.start_fun), fit.start_fun, np.inf))
            falls = np.append(True, np.diff(so_far) < 0)
            falls[-1] = True
            points = zip(fit.start_seconds[falls], so_far[falls], strict=True)
    return [
        {"row": i, "kind": method, "wall_s": float(seconds), "excess": max(float(fun / best - 1), 0.0)}
        for i, (seconds, fun) in enumerate(points)
    ]


def main(arguments: list[str] | None = None) -> None:
    """Time on the Chinchilla runs and record the rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=0.05, help="share of the baseline's starts to run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compared", type=int, default=100, help="resamples that both fit")
    given = parser.parse_args(arguments)
    specs = speed_specs(share=given.share, rounds=given.rounds, compared=given.compared)
    run_sweep(trace_specs(), processes=1)
    table = run_sweep(specs, processes=1)
    print(table.groupby("kind")[["ratio_wall", "ratio_cpu", "ours_wall_s", "worst_excess"]].median())


if __name__ == "__main__":
    main()
