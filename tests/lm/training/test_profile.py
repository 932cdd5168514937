"""The profile of a step: named ranges in its trace, a table that adds up, and a training that stays the same."""

import json
import os

import pytest
import torch

from lm.configuration import from_mapping
from lm.shards import TokenShards
from lm.training.config import PretrainConfig
from lm.training.metrics import PROFILE, PROFILE_FOLDER, time_table, work_folder
from lm.training.pretrain import pretrain
from lm.training.profile import MEMORY, TRACE, memory_curve, read_trace, timed_step, traced_step
from tests.lm.training.corpora import SETTINGS
from tests.lm.training.test_trainer import make_trainer

NAMES = ("data", "communication", "clipping", "optimizer", "backward, layer 1", "forward, layer 0")
PARTS = (
    "forward, attention: q, k, v", "forward, attention", "forward, attention: output", "forward, feed-forward",
    "forward, norms and additions", "forward, output layer and loss", "backward, attention", "backward, feed-forward",
    "backward, attention: output", "backward, norms and additions",
)  # fmt: skip


def test_the_trace_has_named_ranges_of_every_part_and_opens(shards, tmp_path):
    trainer = make_trainer(TokenShards.open(shards))
    traced_step(trainer, tmp_path)
    trace = read_trace(tmp_path / TRACE)
    events = [event for event in trace["traceEvents"] if event.get("ph") == "X"]
    assert all({"name", "ts", "dur", "pid", "tid"} <= event.keys() for event in events)
    ranges = {event["name"]: event for event in events if event.get("cat") == "user_annotation"}
    assert {*NAMES, *PARTS} - {"forward, norms and additions", "backward, norms and additions"} <= ranges.keys()
    inner, outer = ranges["forward, attention: output"], ranges["forward, attention"]
    assert outer["ts"] <= inner["ts"] and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]


def test_the_memory_of_a_step_rises_and_falls_back(shards, tmp_path):
    trainer = make_trainer(TokenShards.open(shards))
    trainer.train_step()
    timed_step(trainer, tmp_path)
    traced_step(trainer, tmp_path)
    curve = json.loads((tmp_path / MEMORY).read_text())
    peak = json.loads((tmp_path / PROFILE).read_text())["peak_bytes"]
    assert len(curve) > 100 and curve == sorted(curve, key=lambda point: point[0])
    held = [size for _, size in curve]  # by the process, whatever ran in it before
    weights = sum(parameter.nbytes for parameter in trainer.model.parameters())
    assert peak == max(held) > held[0] + weights and held[-1] < peak - weights
    assert memory_curve({"traceEvents": []}) == []


def test_the_profilers_own_lines_are_left_out_and_others_stay(shards, tmp_path, capfd):
    trainer = make_trainer(TokenShards.open(shards))
    timed_step(trainer, tmp_path)
    train_step = trainer.train_step

    def warned():
        os.write(2, b"a warning of the step\n")
        return train_step()

    trainer.train_step = warned
    traced_step(trainer, tmp_path)
    assert capfd.readouterr().err == "a warning of the step\n"


def test_the_table_covers_the_step(shards, tmp_path):
    trainer = make_trainer(TokenShards.open(shards))
    folder = work_folder(tmp_path / "model") / PROFILE_FOLDER
    timed_step(trainer, folder)
    rows = time_table(tmp_path / "model")
    assert {*PARTS, "data", "optimizer", "the rest"} <= {row["part"] for row in rows}
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=0.01)
    assert [row["milliseconds"] for row in rows] == sorted((row["milliseconds"] for row in rows), reverse=True)
    assert all(row["milliseconds"] >= 0 for row in rows)
    assert time_table(tmp_path / "nothing") == []


@pytest.mark.parametrize("changes", [{}, {"recomputation": "blocks"}, {"model": {"num_experts": 4, "d_ff": 32}}])
def test_profiled_steps_train_as_any_other(shards, tmp_path, changes):
    plain, watched = (
        make_trainer(TokenShards.open(shards), **changes),
        make_trainer(TokenShards.open(shards), **changes),
    )
    expected = [plain.train_step() for _ in range(3)]
    found = [timed_step(watched, tmp_path), traced_step(watched, tmp_path), watched.train_step()]
    assert found == expected
    for name, weight in plain.model.state_dict().items():
        assert torch.equal(weight, watched.model.state_dict()[name]), name
    assert not watched.model.layers[0]._forward_hooks and not watched.model.layers[0]._backward_hooks


def test_a_run_profiles_the_step_that_it_was_told(shards, tmp_path):
    settings = {**SETTINGS, "num_steps": 4, "profile_step": 2}
    pretrain(from_mapping(PretrainConfig, settings), shards.path, tmp_path / "model")
    assert json.loads((work_folder(tmp_path / "model") / PROFILE_FOLDER / PROFILE).read_text())["step"] == 2
    assert time_table(tmp_path / "model")
