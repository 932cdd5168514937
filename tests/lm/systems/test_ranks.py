"""Ranks that are measured: one process without a peer, and a rank that fails."""

import multiprocessing
import os
import time

import pytest

from lm.systems.ranks import LOCAL, _wait_for, measured_ranks


def test_one_rank_has_a_step_and_a_state_of_two_moments():
    found = measured_ranks(1, [], "test")
    assert set(found["seconds"]) == {LOCAL} and found["seconds"][LOCAL] > 0
    from lm.accounting import count_parameters
    from lm.model.presets import preset

    state = found["state"][LOCAL]
    assert state["before"] == 0
    assert state["after"] == pytest.approx(2 * 4 * count_parameters(preset("test")).total, rel=0.01)


def test_a_rank_that_fails_ends_the_others():
    context = multiprocessing.get_context("fork")
    waiting, failing = context.Process(target=time.sleep, args=(60,)), context.Process(target=os._exit, args=(7,))
    waiting.start()
    failing.start()
    started = time.monotonic()
    with pytest.raises(RuntimeError, match="exit code 7"):
        _wait_for([waiting, failing])
    assert time.monotonic() - started < 50 and not waiting.is_alive()
