"""Timing: the seconds of the work."""

import time

import torch

from lm.systems.timing import timed_on

CPU = torch.device("cpu")


def test_time_is_that_of_the_work():
    calls = []

    def work():
        calls.append(1)
        time.sleep(0.01)

    timing = timed_on(CPU, work, seconds=0.05, warm_calls=1)
    assert 0.01 <= timing.median < 1 and timing.spread >= 0
    assert len(calls) >= 1 + 1 + 5  # to warm up, to choose the repeats, and the fewest repeats
