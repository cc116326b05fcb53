import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densing.data import pack, pack_mixed
from densing.errors import InputError


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


def _stream(first, lengths):
    ids = np.arange(first, first + sum(lengths), dtype=np.uint16)
    return ids, np.concatenate([[0], np.cumsum(lengths)])


def test_mixed_stream_keeps_its_share_all_along():
    text, other = _stream(0, [7] * 300), _stream(10_000, [5] * 200)
    windows = pack_mixed(text, other, 0.25, 20, limit=90, seed=1)
    flat = np.concatenate([windows[0, :1], windows[:, 1:].ravel()])
    ahead = np.cumsum(flat >= 10_000) - 0.25 * np.arange(1, len(flat) + 1)
    assert np.abs(ahead).max() <= 7  # one document
    own = flat[flat >= 10_000]
    assert (own == np.arange(10_000, 10_000 + len(own))).all()  # the other stream keeps its order
    shorter = pack_mixed(text, other, 0.25, 20, limit=30, seed=1)
    assert (windows[:30] == shorter).all()
    assert (pack_mixed(text, other, 0.25, 20, limit=30, seed=2) != shorter).any()


def test_mixed_stream_that_is_too_short():
    with pytest.raises(InputError, match="`other` ends after"):
        pack_mixed(_stream(0, [7] * 300), _stream(10_000, [5] * 3), 0.25, 20, limit=90)
    with pytest.raises(InputError, match="share"):
        pack_mixed(_stream(0, [7]), _stream(10, [5]), 1.0, 20, limit=1)
