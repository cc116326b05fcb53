"""The over-training law on a planted family."""

import numpy as np
import pandas as pd
import pytest

from densing.errors import InputError
from densing.lab import forecast_members, member_interaction

SIZES = {
    "d0.01M": 13_944, "d0.05M": 55_536, "d0.1M": 111_024, "d0.2M": 201_280, "d0.4M": 443_232, "d0.9M": 915_376,
}  # fmt: skip


def family(noise=0.003, exponent=0.35, other=0.35, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for size, n in SIZES.items():
        for run in range(3):
            for tokens in (500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000):
                loss = 1.2 + 12 * n**-exponent + 60 * tokens**-other
                rows.append((size, run, n, tokens, loss * np.exp(noise * rng.standard_normal())))
    return pd.DataFrame(rows, columns=["size", "seed", "n_parameters", "tokens", "bits_per_byte_val_b"])


def test_planted_law_is_forecast():
    found = forecast_members(family(), bootstrap=100)
    assert found["multiplier"].round().tolist() == [287, 574, 18, 9]
    assert found["loss_pct"].max() < 1
    assert found["loss_inside"].sum() >= 3
    assert (found["seeds"] == 3).all()


def test_permuted_losses_are_not_forecast():
    runs = family()
    runs["bits_per_byte_val_b"] = np.random.default_rng(1).permutation(runs["bits_per_byte_val_b"])
    assert forecast_members(runs, bootstrap=50)["loss_pct"].max() > 5


def test_equal_exponents_are_parallel_and_unequal_ones_are_not():
    parallel = member_interaction(family(noise=1e-4), bootstrap=60).interaction
    assert abs(parallel.value) < 0.01
    bent = member_interaction(family(noise=1e-4, exponent=0.6, other=0.15), bootstrap=60).interaction
    assert abs(bent.value) > abs(parallel.value)


def test_a_family_without_a_target_is_refused():
    runs = family()
    with pytest.raises(InputError, match=r"d0\.9M at 8M tokens"):
        forecast_members(runs[~((runs["size"] == "d0.9M") & (runs["tokens"] == 8_000_000))])
