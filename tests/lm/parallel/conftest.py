"""Pools of two and four ranks, each started once for all tests of this folder."""

import contextlib

import pytest
import torch

from tests.lm.parallel.pool import Ranks


@pytest.fixture(scope="package")
def pools():
    """The pools by their size."""
    with contextlib.ExitStack() as closing:
        made = {}
        for size in (2, 4):
            made[size] = Ranks(size)
            closing.callback(made[size].close)
        yield made


@pytest.fixture(params=[2, 4], ids="{} ranks".format)
def ranks(pools, request):
    return pools[request.param]


@pytest.fixture
def two(pools):
    return pools[2]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
