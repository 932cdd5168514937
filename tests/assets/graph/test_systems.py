"""The systems report: figures of this machine through Pipes, with charts and a check."""

import json

import dagster as dg
import pytest

from assets.graph.systems import _soundness
from tests.assets import runs
from tests.assets.tables import rows_of

SMALL = {
    "device": "cpu", "num_rows": 64, "width": 32, "contexts": [16, 32], "d_head": 8, "preset": "test", "sizes_mb": [1],
    "seconds": 0.001,
}  # fmt: skip


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A small report and its home."""
    home = tmp_path_factory.mktemp("systems") / "home"
    with dg.DagsterInstance.ephemeral() as instance:
        return runs.materialize(instance, home, ["systems_report"], config={"systems_report": SMALL}), home


def test_every_section_is_shown_with_charts(measured):
    result, _ = measured
    (event,) = result.get_asset_materialization_events()
    metadata = event.materialization.metadata
    for chart in ("attention_by_context", "kernels_of_copy", "all_reduce_by_size", "steps_of_ranks"):
        assert metadata[chart].md_str.startswith("!["), chart
    for section in ("machine", "kernels", "attention", "all-reduce", "steps", "optimizers_state"):
        assert rows_of(metadata[section]), section
    assert {"path", "size", "digest", "seconds"} <= set(metadata)


def test_the_check_is_one_line(measured):
    (check,) = measured[0].get_asset_check_evaluations()
    found = json.loads(runs.artifact(measured[1], "systems_report").file("systems.json").read_text())
    assert check.passed == (not found["faults"]) and check.description and "\n" not in check.description
    assert check.passed, found["faults"]


def test_a_fault_of_the_measurements_is_seen():
    found = _soundness(["a bandwidth of 0", "a share above 1"], 3)
    assert not found.passed and found.description == "a bandwidth of 0; a share above 1"
