import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lm.errors import ConfigurationError, InputError
from lm.training.windows import DocumentWindows, StreamWindows, best_fit, make_windows, one_each


def _documents(lengths, context_length, place):
    return DocumentWindows(np.cumsum([0, *lengths]), context_length, 3, place)


def _all(windows, epoch=0):
    return [windows.window(epoch, position) for position in range(windows.num_windows(epoch))]


def test_an_epoch_visits_every_stream_window_once_and_the_next_one_otherwise():
    windows = StreamWindows(1000, 16, seed=5)
    starts = windows.starts(0)
    assert sorted(starts) == list(range(min(starts), 1000 - 16, 16)) and list(starts) != sorted(starts)
    assert windows.num_windows(0) == len(starts)
    assert list(windows.starts(1)[:5]) != list(starts[:5])
    (piece,) = windows.window(0, 3).pieces
    assert list(piece) == [starts[3] + 1, starts[3] + 17]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 20))
@settings(deadline=None, max_examples=60)
def test_every_token_is_a_target_once_an_epoch_and_short_documents_are_whole(lengths, context_length):
    begins = np.cumsum([0, *lengths])
    for place in (best_fit, one_each):
        windows = _documents(lengths, context_length, place)
        counts = np.zeros(begins[-1], int)
        for window in _all(windows):
            sizes = window.pieces[:, 1] - window.pieces[:, 0]
            assert 0 < sizes.sum() <= context_length
            assert not window.first_left_out[0]
            for (start, end), left_out in zip(window.pieces, window.first_left_out, strict=True):
                counts[start:end] += 1
                assert left_out <= (start not in begins)
        assert (counts == 1).all()
        pieces = {(int(a), int(b)) for window in _all(windows) for a, b in window.pieces}
        for start, end in itertools.pairwise(begins):
            if end - start <= context_length:
                assert (start, end) in pieces


def test_best_fit_leaves_the_least_room():
    # 7 and 3 fill one window, 6 and 4 another; first fit in the given order would need three.
    assert _documents([3, 4, 6, 7], 10, best_fit).num_windows(0) == 2
    assert list(best_fit(np.array([5, 8, 2, 5]), 10)) == [1, 0, 0, 1]
    assert _documents([3, 4, 6, 7], 10, one_each).num_windows(0) == 4


def test_the_rest_of_a_long_document_comes_first_or_loses_its_first_target():
    windows = _documents([13, 12, 4], 10, best_fit)
    mixed = [window for window in _all(windows) if len(window.pieces) > 1]
    ((pieces, left_out),) = mixed
    assert [tuple(map(int, piece)) for piece in pieces] == [(10, 13), (23, 25), (25, 29)]
    assert list(left_out) == [False, True, False]


def test_orders_come_from_seed_and_epoch_alone():
    windows, again = (_documents(range(1, 30), 32, best_fit) for _ in range(2))
    first = [tuple(window.pieces.ravel()) for window in _all(windows, 4)]
    assert first == [tuple(window.pieces.ravel()) for window in _all(again, 4)]
    assert first != [tuple(window.pieces.ravel()) for window in _all(windows, 5)]
    assert sorted(first) == sorted(tuple(window.pieces.ravel()) for window in _all(windows, 5))


@pytest.mark.parametrize("place", [None, best_fit, one_each])
def test_positions_of_a_span_are_those_of_the_windows_over_it(place):
    lengths = [5, 30, 2, 9, 17, 4, 11]
    windows = StreamWindows(sum(lengths), 8, 3) if place is None else _documents(lengths, 8, place)
    for start, end in ((0, 5), (6, 20), (35, 37), (0, sum(lengths)), (12, 13), (29, 30)):
        for epoch in (0, 1):
            expected = []
            for position, (pieces, left_out) in enumerate(_all(windows, epoch)):
                spans = [range(a + skip, b) for (a, b), skip in zip(pieces, left_out, strict=True)]
                if any(token in span for span in spans for token in range(start, end)):
                    expected.append(position)
            assert list(windows.positions_of(epoch, start, end)) == expected


def test_mistakes_are_named():
    with pytest.raises(InputError, match="expected at least context_length"):
        StreamWindows(16, 16, 0)
    with pytest.raises(InputError, match="no training documents"):
        _documents([], 16, best_fit)
    with pytest.raises(ConfigurationError, match="packing: 'tight', expected stream, best_fit, padded"):
        make_windows("tight", None, 16, 0)
