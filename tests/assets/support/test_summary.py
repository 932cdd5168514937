"""The lines that the demo ends with, from the artifacts of a run."""

import json
import re

from assets.automation.demo_run import demo_partitions
from assets.support.summary import curated_artifacts, summary_lines
from lm.storage import open_artifact
from pipelines.curation.steps import CURATION


def test_every_step_and_group_is_summed_up(tiny_run, tiny_home):
    found = list(curated_artifacts(tiny_home, demo_partitions()))
    assert [artifact.summary["stage"] for artifact in found] == [
        step.stage for step in CURATION for _ in range(2 if step.partitioned else 1)
    ]


def test_the_lines_hold_the_models_figures_and_samples(tiny_run, tiny_home):
    lines = summary_lines(tiny_home, demo_partitions())
    report = open_artifact(tiny_home / "artifacts" / "evaluation_report")
    ngram = open_artifact(tiny_home / "artifacts" / "ngram_baseline").summary
    assert f"{ngram['order']}-gram" in "\n".join(lines)
    for stage, name in {"pretrained": "pre-trained", "sft": "SFT", "dpo": "DPO", "grpo": "GRPO"}.items():
        (line,) = [each for each in lines if each.startswith(f"{name} ")]
        assert float(re.split(r"\s+", line)[1]) == round(report.summary[stage]["bits_per_byte"], 3)
    samples = json.loads(report.file("report.json").read_text())["samples"]
    assert [line[2:] for line in lines if line.startswith("> ")] == [sample["prompt"] for sample in samples[:3]]
    assert lines[-1] == "Open the results in Dagster: make ui"
