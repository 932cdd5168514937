"""One run of the whole graph at a tiny size, on an instance that leaves nothing behind; the tests share it."""

import dagster as dg
import pytest

from tests.assets.runs import defs, demo_run, run_demo


@pytest.fixture(scope="session")
def definitions():
    """All definitions, loaded once."""
    return defs


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory):
    """The home folder of the tiny run."""
    return tmp_path_factory.mktemp("tiny") / "home"


@pytest.fixture(scope="session")
def instance():
    """An instance of this test session, with the demo's groups."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        demo_run.register_demo_groups(ephemeral)
        yield ephemeral


@pytest.fixture(scope="session")
def tiny_run(instance, tiny_home):
    """The whole graph, once."""
    return run_demo(instance, tiny_home)
