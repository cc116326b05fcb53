import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from densing.errors import InputError
from densing.fitters import isotonic_frontier, record_frontier, record_test, running_maximum


def naive(date, value, same_day):
    mask = np.zeros(len(date), bool)
    for day in np.unique(date):
        earlier = value[date < day].max(initial=-np.inf)
        today = np.flatnonzero((date == day) & (value > earlier))
        if len(today) and same_day == "best":
            today = today[np.argmax(value[today])]
        mask[today] = True
    return mask


@given(
    st.integers(1, 25).flatmap(
        lambda n: st.tuples(
            arrays(float, n, elements=st.integers(0, 6).map(float)),
            arrays(float, n, elements=st.integers(-4, 4).map(float)),
        )
    ),
    st.sampled_from(["best", "every"]),
)
def test_records_equal_a_naive_loop(data, same_day):
    np.testing.assert_array_equal(record_frontier(*data, same_day=same_day), naive(*data, same_day))


def test_best_of_the_day_only_by_default():
    date, value = [0, 0, 1, 1, 2], [1.0, 3.0, 4.0, 5.0, 4.5]
    assert record_frontier(date, value).tolist() == [False, True, False, True, False]
    assert record_frontier(date, value, same_day="every").tolist() == [True, True, True, True, False]


def test_row_order_does_not_matter_and_batches_are_loops():
    rng = np.random.default_rng(0)
    date, value = rng.integers(0, 10, 30).astype(float), rng.normal(size=30)
    order = rng.permutation(30)
    for rule in ("best", "every"):
        mask = record_frontier(date, value, same_day=rule)
        np.testing.assert_array_equal(record_frontier(date[order], value[order], same_day=rule), mask[order])
        dates = np.array([rng.permutation(date) for _ in range(5)])
        np.testing.assert_array_equal(
            record_frontier(dates, value[None], same_day=rule), [naive(d, value, rule) for d in dates]
        )


def test_values_that_take_no_part():
    assert record_frontier([0, 1, 2], [np.nan, -np.inf, 1.0]).tolist() == [False, False, True]


def test_running_maximum():
    found = running_maximum([0, 3, 1], [1.0, 5.0, 0.5], [-1, 0, 2, 3, 9])
    assert found.tolist() == [-np.inf, 1, 1, 5, 5]
    many = running_maximum([[0, 3, 1], [3, 0, 1]], [1.0, 5.0, 0.5], [0, 3])
    assert many.tolist() == [[1, 5], [5, 5]]


def test_isotonic_frontier_rises_and_averages_what_falls():
    dates, fit = isotonic_frontier([0, 0, 1, 2, 3], [0.0, 1.0, 5.0, 3.0, 6.0])
    assert dates.tolist() == [0, 1, 2, 3] and fit.tolist() == [1, 4, 4, 6]


def test_record_counts_of_exchangeable_values():
    rng = np.random.default_rng(1)
    counts = record_frontier(np.arange(84.0), rng.normal(size=(20_000, 84))).sum(axis=1)
    test = record_test(np.arange(84.0), rng.normal(size=84), permutations=10)
    assert (test.expected, test.deviation) == (pytest.approx(5.01, abs=0.01), pytest.approx(1.84, abs=0.01))
    assert counts.mean() == pytest.approx(test.expected, abs=0.05)
    assert counts.std() == pytest.approx(test.deviation, abs=0.05)


def test_record_test_sees_a_trend_and_knows_releases():
    rng = np.random.default_rng(2)
    day = np.repeat(np.arange(30.0), 3)
    noise = rng.normal(size=90)
    assert record_test(day, 0.2 * day + noise, permutations=999).permutation_p <= 0.01
    siblings = record_test(day, noise, groups=np.repeat(np.arange(30), 3), permutations=2000)
    # thirty releases of equal size: as many records as thirty values
    assert siblings.expected_releases == pytest.approx((1 / np.arange(1, 31)).sum(), abs=0.15)


def test_bad_input():
    with pytest.raises(InputError, match="same_day"):
        record_frontier([1], [1], same_day="first")
    with pytest.raises(InputError, match="finite"):
        record_frontier([np.nan], [1])
    with pytest.raises(InputError, match="shapes"):
        record_frontier([1, 2], [1, 2, 3])
    with pytest.raises(InputError, match="two different dates"):
        record_test([1, 1], [1, 2])
