import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densing.laws import (
    RELEASED,
    DerivativeCoefficients,
    ParametricCoefficients,
    cheapest_vocabulary,
    embedding_width,
    get,
    matching_flops,
    optimal_vocabulary,
    tokens_per_character,
    vocabulary_flops,
)
from densing.laws.vocabulary_size import flops_slope

SIZES = (2.87e9, 7e9, 13e9, 70e9, 300e9)
PUBLISHED = {
    1: (37_942, 62_281, 83_429, 211_860, 355_894),
    2: (40_993, 67_450, 90_504, 230_861, 389_324),
    3: (35_272, 59_548, 81_347, 217_961, 383_659),
}


@pytest.mark.parametrize("approach", PUBLISHED)
def test_released_coefficients_give_the_published_vocabularies(approach):
    assert [round(optimal_vocabulary(n, approach=approach)) for n in SIZES] == list(PUBLISHED[approach])


@given(st.floats(1e6, 4e11), st.floats(np.log(300), np.log(150_000)))
def test_slope_of_the_flops_against_differences(n_nv, log_v):
    width, step, characters = embedding_width(n_nv), 1e-5, 1e10
    v = np.exp(log_v)
    ends = vocabulary_flops(n_nv, v * np.array([1 - step, 1 + step]), width, characters)
    numeric = (ends[1] - ends[0]) / (2 * step * v) / (6 * characters)
    scale = (n_nv + v * width) / v  # size of the two terms that cancel at the root
    assert flops_slope(log_v, n_nv, width) == pytest.approx(numeric, abs=1e-7 * scale)


@given(st.floats(33e6, 2e11))
def test_cheapest_vocabulary_is_the_minimum_of_a_fine_grid(n_nv):
    width = embedding_width(n_nv)
    grid = np.geomspace(300, 199_999, 40_001)
    best = grid[np.argmin(vocabulary_flops(n_nv, grid, width, 1.0))]
    assert cheapest_vocabulary(n_nv, width) == pytest.approx(best, rel=1e-3)


@given(st.floats(1e8, 4e11), st.floats(0.2, 5))
def test_parametric_optimum_minimises_the_law(n_nv, factor):
    k, width = RELEASED[3], embedding_width(n_nv)
    flops = factor * matching_flops(n_nv)
    found = optimal_vocabulary(n_nv, flops)
    v = found * np.array([0.98, 1.0, 1.02])
    tokens = flops / (6 * (n_nv + v * width)) / 1e9
    constants = {name: getattr(k, name) for name in get("vocabulary").names}
    loss = get("vocabulary")(n_nv / 1e6, v * width / 1e6, tokens, **constants)
    assert loss[1] < loss[0] and loss[1] < loss[2]


def test_text_gets_no_shorter_beyond_the_cap():
    assert tokens_per_character(200_000) == tokens_per_character(1e6)
    assert tokens_per_character(100_000) > tokens_per_character(200_000)


def test_more_compute_deserves_more_vocabulary():
    under, over = (optimal_vocabulary(7e9, c * matching_flops(7e9)) for c in (0.1, 10))
    assert under < optimal_vocabulary(7e9) < over


def test_paper_widths():
    assert [embedding_width(n) for n in (33e6, 50e6, 50e6 + 1, 7e9, 70e9, 500e9)] == [
        512,
        512,
        768,
        4_096,
        8_192,
        16_384,
    ]


@pytest.mark.parametrize(
    "call, told",
    [
        (lambda: optimal_vocabulary(7e9, approach=4), "approach = 4"),
        (lambda: optimal_vocabulary(-1), "n_nv = -1"),
        (lambda: optimal_vocabulary(7e11), "n_nv"),
        (lambda: optimal_vocabulary(7e9, flops=0), "flops = 0"),
        (
            lambda: optimal_vocabulary(7e9, approach=1, coefficients=DerivativeCoefficients(0.8)),
            "IsoFlopCoefficients",
        ),
        (lambda: cheapest_vocabulary(7e9, 4_096, compression=(0.0, 0.0, 0.3)), "no minimum"),
        (
            lambda: optimal_vocabulary(
                7e9, coefficients=ParametricCoefficients(5, 1, 0.4, 0.1, -0.5, 1, 0.4)
            ),
            "no minimum between 2 and 10 million",
        ),
    ],
)
def test_refusals(call, told):
    with pytest.raises(ValueError, match=told):
        call()
