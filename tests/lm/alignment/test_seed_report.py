"""The report over seeds: means and spreads of the runs' figures, and runs that cannot be compared."""

import json

import pytest

from lm.alignment.seed_report import compared, spread, write_seed_report
from lm.errors import InputError
from lm.storage import publish

STAGES = ("pretrained", "sft", "grpo")


def report(folder, name, rates, *, taxes=(None, 0.01, 0.02), stages=STAGES):
    summary = {
        stage: {"greedy_verified_rate": rate, "tax": tax} for stage, rate, tax in zip(stages, rates, taxes, strict=True)
    }
    gains = [{"from": "sft", "to": "grpo", "gain": rates[-1] - rates[-2], "standard_error": 0.1}]
    with publish(folder / name, kind="evaluation_report", config={}, inputs={}, code="test") as publication:
        text = json.dumps({"stages": [{"stage": stage} for stage in stages], "run": name})
        (publication.path / "report.json").write_text(text)
        publication.summary.update({**summary, "gains": gains})
    return folder / name


def test_each_figure_has_its_mean_and_spread(tmp_path):
    rates = [(0.0, 0.5, 0.7), (0.1, 0.6, 0.9), (0.2, 0.4, 0.8)]
    runs = [report(tmp_path, f"seed-{seed}", each) for seed, each in enumerate(rates)]
    artifact = write_seed_report(runs, tmp_path / "seeds")
    facts = json.loads(artifact.file("seeds.json").read_text())
    assert facts == artifact.summary and facts["num_runs"] == 3
    assert [each["stage"] for each in facts["stages"]] == list(STAGES)  # not by name
    sft = facts["stages"][1]["figures"]["greedy_verified_rate"]
    assert sft["mean"] == pytest.approx(0.5) and sft["deviation"] == pytest.approx(0.1)
    assert (sft["least"], sft["most"], sft["values"]) == (0.4, 0.6, [0.5, 0.6, 0.4])
    assert "tax" not in facts["stages"][0]["figures"]  # the first stage has none
    (gain,) = facts["gains"]
    assert gain["values"] == pytest.approx([0.2, 0.3, 0.4]) and gain["mean"] == pytest.approx(0.3)
    page = artifact.file("report.md").read_text()
    assert "3 runs" in page and "0.5 ± 0.1" in page and "0.3 ± 0.1" in page and "–" in page
    assert write_seed_report(runs, tmp_path / "seeds").digest == artifact.digest
    assert set(artifact.inputs) == {"run 1", "run 2", "run 3"}


def test_a_figure_that_a_run_lacks_is_left_out():
    shared = {"gains": [{"from": "a", "to": "b", "gain": 0.1}]}
    facts = compared(["a"], [{"a": {"x": 1, "win_rate": 0.5}, **shared}, {"a": {"x": 3}, "gains": []}])
    assert facts["stages"] == [{"stage": "a", "figures": {"x": spread([1, 3])}}] and facts["gains"] == []


def test_runs_that_cannot_be_compared_are_refused(tmp_path):
    first = report(tmp_path, "first", (0.0, 0.5, 0.7))
    with pytest.raises(InputError, match="reports: 1, expected reports of at least 2 runs"):
        write_seed_report([first], tmp_path / "seeds")
    with pytest.raises(InputError, match="first: duplicate of another report"):
        write_seed_report([first, first], tmp_path / "seeds")
    other = report(tmp_path, "other", (0.5, 0.7), taxes=(None, 0.01), stages=("sft", "grpo"))
    with pytest.raises(InputError, match="other: stages sft, grpo; expected pretrained, sft, grpo"):
        write_seed_report([first, other], tmp_path / "seeds")
    with pytest.raises(InputError, match="absent"):
        write_seed_report([first, tmp_path / "absent"], tmp_path / "seeds")
