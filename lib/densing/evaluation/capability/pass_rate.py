"""PassUntil: sample until enough passes, estimate the rate; and the chance that one of k samples passes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densing.checks import check_range
from densing.errors import InputError
from densing.fitters.bootstrap import Estimate
from densing.fitters.task_scaling.stopped import (
    checked_counts,
    mean_rate,
    stopped_interval,
    stopped_rate,
)

_FIRST, _GROWTH = 8, 8  # samples of the first batch a pass wanted; growth of the batches


@dataclass(frozen=True)
class PassRecord:
    """What sampling one instance found.

    Parameters
    ----------
    passes : samples that the verifier accepted.
    samples : samples drawn, up to and including the last pass that was wanted.
    censored : the cap on samples ended it, not its passes; True also where a number of samples was fixed beforehand.
    instance : label.

    Raises
    ------
    InputError : counts that cannot be.
    """

    passes: int
    samples: int
    censored: bool
    instance: str = ""

    def __post_init__(self) -> None:
        checked_counts([self.passes], [self.samples], [self.censored])


def pass_until(
    sample_fn: Callable[[int, np.random.Generator], Sequence[Any]],
    verify: Callable[[Any], bool],
    *,
    passes: int = 10,
    max_samples: int = 5_000,
    batch: int = 512,
    seed: int = 0,
    instance: str = "",
) -> PassRecord:
    """Sample one instance until so many passes, or until the cap.

    Samples drawn in the same batch as the last pass, but after it, are not counted: the record is that of drawing one
    at a time, whatever the batches.

    Parameters
    ----------
    sample_fn : takes a number and a numpy Generator, returns so many independent completions.
    verify : takes a completion and returns whether it passes.
    passes : wanted, 1 to 100; the relative standard error of a rate is about 1 / sqrt(passes).
    max_samples : cap, 10 to 10,000,000, at least `passes`.
    batch : most completions asked for at once; the first batches are smaller.
    seed : of the Generator.
    instance : label of the record.

    Raises
    ------
    InputError : a value out of range, a number of completions other than asked, or a verifier's answer that is not
        true or false. What the verifier raises is raised again, with a note of the instance.

    References
    ----------
    Hu et al. (2023), arXiv 2310.03262, PassUntil (one pass, rate 1 / samples).
    """
    check_range("passes", passes, 1, 100, integer=True)
    check_range("max_samples", max_samples, 10, 10_000_000, integer=True)
    check_range("batch", batch, 1, integer=True)
    check_range("seed", seed, 0, integer=True)
    if passes > max_samples:
        raise InputError(f"passes = {passes}: must be at most max_samples = {max_samples}")
    rng = np.random.default_rng(seed)
    found = drawn = 0
    ask = min(_FIRST * passes, batch)
    while drawn < max_samples:
        ask = min(ask, max_samples - drawn)
        completions = sample_fn(ask, rng)
        if len(completions) != ask:
            raise InputError(f"sample_fn: returned {len(completions)} completions, was asked for {ask}")
        for completion in completions:
            drawn += 1
            found += _verified(verify, completion, instance)
            if found == passes:
                return PassRecord(found, drawn, False, instance)
        ask = min(_GROWTH * ask, batch)
    return PassRecord(found, drawn, True, instance)


def _verified(verify: Callable[[Any], bool], completion: Any, instance: str) -> bool:
    try:
        passed = verify(completion)
    except Exception as error:
        error.add_note(f"verify: raised for the instance {instance!r}")
        raise
    if not isinstance(passed, bool | np.bool_):
        raise InputError(f"verify: returned {passed!r} for the instance {instance!r}, must be True or False")
    return bool(passed)


def pass_rate(
    records: PassRecord | Sequence[PassRecord], estimator: str = "mle", level: float = 0.95
) -> Estimate:
    """Pass rate of an instance, or mean pass rate of a test set.

    Parameters
    ----------
    records : one record, or one for each instance.
    estimator : ``"mle"``, passes over samples, biased upward where passes ended the sampling; or ``"unbiased"``,
        (passes - 1) / (samples - 1) there.
    level : of the interval: exact (inverse sampling, Clopper-Pearson) for one record; for several an interval of the
        mean over these instances, made for small counts.

    Raises
    ------
    InputError : no record, an unknown estimator, or ``"unbiased"`` where a single pass ended the sampling.
    """
    check_range("level", level, 0, 1, open_low=True, open_high=True)
    single = isinstance(records, PassRecord)
    several = [records] if single else list(records)
    if not several:
        raise InputError("records: must hold at least one")
    columns = [[getattr(r, name) for r in several] for name in ("passes", "samples", "censored")]
    if not single:
        return mean_rate(*columns, level, estimator)
    lower, upper = stopped_interval(*columns, level)
    return Estimate(stopped_rate(*columns, estimator)[0], lower[0], upper[0], level)


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> NDArray | float:
    """Unbiased probability that at least one of k samples passes, 1 - C(n - c, k) / C(n, k), c of n having passed.

    The number n must have been fixed beforehand: counts that a pass ended give a biased value.

    Parameters
    ----------
    n : samples drawn. c : passes among them. k : samples allowed, 1 to n. They broadcast.

    Raises
    ------
    InputError : numbers that are not whole or out of range.

    References
    ----------
    Chen et al. (2021), Evaluating large language models trained on code, equation 1.
    """
    n, c, k = np.broadcast_arrays(*(np.asarray(v, float) for v in (n, c, k)))
    for name, value, low, high in (("n", n, 1, np.inf), ("c", c, 0, n), ("k", k, 1, n)):
        if not ((value == np.floor(value)) & (value >= low) & (value <= high)).all():
            raise InputError(
                f"{name} = {value.tolist()!r}: must be whole numbers with 0 <= c <= n and 1 <= k <= n"
            )
    # C(n - c, k) / C(n, k) = prod_{i < m} (1 - M / (n - i)) with m, M the smaller and larger of c and k
    few, many = np.minimum(c, k), np.maximum(c, k)
    log_none = np.zeros(n.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        for i in range(int(few.max(initial=0))):
            log_none += np.where(i < few, np.log1p(-many / (n - i)), 0.0)
    value = np.where(n - c < k, 1.0, -np.expm1(log_none))
    return value if value.ndim else float(value)
