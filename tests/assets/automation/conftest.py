"""An instance that a schedule or a sensor can open again."""

import dagster as dg
import pytest


@pytest.fixture
def empty_instance(tmp_path_factory):
    """An instance of one test; a tick opens it again by its reference, so it lies on disk."""
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as instance:
        yield instance
