"""Pools of two and four ranks, each started once for all tests of this folder."""

import contextlib

import pytest

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
def on_one_thread(one_thread):
    """Every test here."""
