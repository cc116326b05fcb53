import math

import numpy as np
import pytest

from densing.errors import InputError
from densing.laws import combined_doubling, density_ratio, doubling_months, halving_time, rate_change


def test_the_published_corollaries():
    assert halving_time(20, 0.075, 20) == pytest.approx(2.48, abs=0.01)
    assert combined_doubling(3.3, 2.1 * 12) == pytest.approx(2.92, abs=0.01)
    assert rate_change(4.8, 3.2) == pytest.approx(0.5)


def test_doubling_months():
    assert doubling_months(math.log(2) / 100) == pytest.approx(100 / 30.44)
    assert doubling_months(0.0) == math.inf and doubling_months(-0.01) == math.inf
    assert np.isnan(doubling_months([np.nan, 0.01])).tolist() == [True, False]


def test_halving_agrees_with_simulation():
    months = halving_time(8, 1, 6)
    assert 8 * 0.5 ** (6 / months) == pytest.approx(1)


def test_pruning_to_half_pays_only_if_effective_size_falls_by_less():
    assert density_ratio(0.5, 0.5) == 1
    assert density_ratio(0.4, 0.5) < 1 < density_ratio(0.6, 0.5)
    # the exercise: 2B that acts like 5B, cut to 1B that acts like 2B
    assert density_ratio(2 / 5, 1 / 2) == pytest.approx(2.0 / 2.5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: halving_time(1, 2, 3),
        lambda: halving_time(1, 1, 3),
        lambda: halving_time(-1, 0.5, 3),
        lambda: combined_doubling(3, 0),
        lambda: rate_change(0, 1),
        lambda: density_ratio(1, -1),
    ],
)
def test_bad_input(call):
    with pytest.raises(InputError):
        call()
