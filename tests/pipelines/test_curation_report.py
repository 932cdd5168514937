"""The report over all steps: sums over groups, in the steps' order, and nothing for a step that is missing."""

import json

import pytest

from lm import storage
from lm.errors import InputError
from pipelines import layout
from pipelines.curate import CURATION
from pipelines.curation_report import steps_of, write_curation_report

GROUPS = ["test/g0000", "test/g0001"]


def publish_step(target, stage, num_in, removed, inputs=None):
    with storage.publish(target, kind="documents", config={}, inputs=inputs or {}, code="") as publication:
        gone = sum(removed.values())
        publication.summary.update(
            stage=stage, num_in=num_in, num_kept=num_in - gone, num_removed=gone, num_lost=0, text_bytes_in=0,
            text_bytes_kept=0, removed_by_rule=removed, lost_by_reason={},
        )  # fmt: skip
    return publication.artifact


@pytest.fixture
def corpus(tmp_path):
    for step in (step for step in CURATION if step.partitioned):
        for i, group in enumerate(GROUPS):
            removed = {"short": 1 + i} if step.stage == "heuristics" else {}
            publish_step(layout.artifact_path(step.artifact, group, tmp_path), step.stage, 10, removed)
    dedup, decontaminate = (step for step in CURATION if not step.partitioned)
    groups = dict.fromkeys(GROUPS, "d")
    publish_step(layout.artifact_path(dedup.artifact, root=tmp_path), dedup.stage, 17, {"same_text": 2}, groups)
    publish_step(layout.artifact_path(decontaminate.artifact, root=tmp_path), decontaminate.stage, 15, {})


def test_groups_are_summed_step_by_step(corpus, tmp_path):
    report = write_curation_report(steps_of(tmp_path), tmp_path / "report")
    rows = json.loads(report.file("funnel.json").read_text())
    assert [row["stage"] for row in rows] == [step.stage for step in CURATION]
    heuristics = next(row for row in rows if row["stage"] == "heuristics")
    assert (heuristics["num_in"], heuristics["num_kept"], heuristics["removed_by_rule"]) == (20, 17, {"short": 3})
    assert report.summary["num_kept"] == 15
    text = report.file("report.md").read_text()
    assert "| heuristics | 20 | 17 | 3 | 0 | 85.0% |" in text
    assert "| dedup | same_text | 2 |" in text


def test_a_missing_step_is_named(corpus, tmp_path):
    (layout.artifact_path("quality_documents", GROUPS[1], tmp_path) / storage.MANIFEST).unlink()
    with pytest.raises(InputError, match=r"quality_documents/test/g0001: no artifact here"):
        steps_of(tmp_path)
