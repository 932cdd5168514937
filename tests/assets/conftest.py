"""One run of the whole graph at a tiny size, on an instance that leaves nothing behind; the tests share it."""

from contextlib import nullcontext

import dagster as dg
import pytest

from tests.assets.runs import defs, demo_run, run_demo


@pytest.fixture(scope="session", autouse=True)
def no_stored_definitions():
    """Dagster's storage of definitions, unused here, is a context variable. The context of a tick puts back the former
    value when it is collected as garbage: often in a later test, and the storage of an instance that is gone.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dagster._core.storage.defs_state.base.set_defs_state_storage", nullcontext)
        yield


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
