import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densing.data import pack


def documents(lengths):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return np.arange(offsets[-1], dtype=np.uint16), offsets


@given(st.lists(st.integers(1, 40), min_size=3, max_size=30), st.integers(1, 12), st.integers(0, 9))
def test_every_token_is_a_target_once(lengths, length, seed):
    ids, offsets = documents(lengths)
    if len(ids) <= length:
        with pytest.raises(ValueError, match="do not fill one window"):
            pack(ids, offsets, length, seed=seed)
        return
    windows = pack(ids, offsets, length, seed=seed)
    targets = windows[:, 1:].ravel()
    assert windows.shape == ((len(ids) - 1) // length, length + 1)
    assert len(np.unique(targets)) == len(targets)
    assert np.array_equal(windows[1:, 0], windows[:-1, -1])  # neighbours share a token
    order = np.random.default_rng(seed).permutation(len(lengths))
    stream = np.concatenate([ids[offsets[i] : offsets[i + 1]] for i in order])
    assert np.array_equal(targets, stream[1 : 1 + len(targets)])


@given(st.lists(st.integers(1, 40), min_size=3, max_size=30), st.integers(2, 6))
def test_windows_stay_inside_documents_when_asked(lengths, length):
    ids, offsets = documents([*lengths, 50])
    windows = pack(ids, offsets, length, cross_documents=False)
    owner = np.searchsorted(offsets, windows, side="right")
    assert (owner == owner[:, :1]).all()


def test_order_is_seeded_and_a_limit_changes_nothing_before_it():
    ids, offsets = documents([10] * 50)
    assert np.array_equal(pack(ids, offsets, 7, seed=3), pack(ids, offsets, 7, seed=3))
    assert not np.array_equal(pack(ids, offsets, 7, seed=3), pack(ids, offsets, 7, seed=4))
    assert np.array_equal(pack(ids, offsets, 7, limit=5), pack(ids, offsets, 7)[:5])


@pytest.mark.parametrize(
    "bad",
    [
        {"length": 0},
        {"length": 3, "limit": 0},
        {"length": 3, "seed": -1},
        {"length": 3, "cross_documents": 1},
    ],
)
def test_refusals(bad):
    with pytest.raises(ValueError, match="must be"):
        pack(*documents([10, 10]), **bad)
