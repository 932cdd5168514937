"""Reward functions: what they give is checked before it becomes a reward."""

import math

import pytest

from lm.errors import InputError
from lm.rewards.functions import graded


def test_numbers_become_floats():
    found = graded(lambda response, truth: {"reward": int(response == truth), "length": len(response)}, "7", "7")
    assert found == {"reward": 1.0, "length": 1.0}


@pytest.mark.parametrize("wrong", [1.0, None, {}, {"score": 1.0}])
def test_a_result_without_a_reward_is_refused(wrong):
    with pytest.raises(InputError, match="expected a mapping with the entry 'reward'"):
        graded(lambda response, truth: wrong, "7", "7")


@pytest.mark.parametrize("wrong", [math.nan, math.inf, "1", None])
def test_a_reward_that_is_no_finite_number_is_refused(wrong):
    with pytest.raises(InputError, match=r"'reward' is .* expected a finite number"):
        graded(lambda response, truth: {"reward": wrong}, "7", "7")
