"""Examples that do not fit are refused, left out or cut, and counted."""

import pytest

from lm.alignment.lengths import LengthLimit
from lm.chat.template import ChatExample
from lm.errors import InputError

FITS, LONG, PROMPT = ChatExample([1, 2, 3, 4], 2), ChatExample([1, 2, 3, 4, 5, 6], 2), ChatExample([1, 2, 3, 4, 5], 4)


def test_what_fits_stays_as_it_is():
    for rule in ("refuse", "skip", "cut"):
        limit = LengthLimit(4, rule)
        assert limit.fit(FITS, "x") is FITS and not limit.counts


def test_what_does_not_fit_is_refused_by_name():
    with pytest.raises(InputError, match=r"id 'a' is 6 tokens, expected at most 4.*'skip' leaves"):
        LengthLimit(4).fit(LONG, "id 'a'")


def test_what_does_not_fit_is_left_out_and_counted():
    limit = LengthLimit(4, "skip")
    assert limit.fit(LONG, "x") is limit.fit(PROMPT, "x") is None
    assert limit.counts == {"left_out": 2}


def test_what_does_not_fit_is_cut_unless_nothing_to_learn_would_be_left():
    limit = LengthLimit(4, "cut")
    assert limit.fit(LONG, "x") == FITS
    assert limit.fit(PROMPT, "x") is None
    assert limit.counts == {"cut": 1, "left_out": 1}
