"""Regular expressions as rewards, bounded in time."""

import time

import pytest

from lm.errors import InputError
from lm.rewards.pattern import pattern_reward


@pytest.mark.parametrize(
    ("response", "truth", "reward"),
    [("abc", "a.c", 1.0), ("abcd", "a.c", 0.0), ("a\nc", "a.c", 1.0), ("", "", 1.0), ("x", "", 0.0)],
)
def test_the_whole_response_matches(response, truth, reward):
    assert pattern_reward(response, truth)["reward"] == reward


def test_a_pattern_that_takes_exponential_time_is_cut_off():
    started = time.monotonic()
    assert pattern_reward("a" * 60 + "!", r"(a|aa|aaa|aaaa)+(b|c)?\1{3}x?$(?<!!)", timeout_s=0.2)["reward"] == 0.0
    assert pattern_reward("a" * 1_000_000, "a*")["reward"] == 0.0
    assert time.monotonic() - started < 30


def test_a_truth_that_is_no_pattern_is_refused():
    with pytest.raises(InputError, match="not a regular expression"):
        pattern_reward("x", "(")
