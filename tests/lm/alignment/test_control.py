"""The control is a stage's replay alone: the gradient of text, the stage's schedule, and no example."""

import json

import pytest

from lm.alignment.config import SFTConfig
from lm.alignment.control import alignment_tax, train_control
from lm.alignment.sft import train_sft
from lm.errors import ConfigurationError

SMALL = {"optimizer": "adamw", "num_steps": 4, "warmup_steps": 1, "batch_size": 4, "device": "cpu", "num_threads": 1}
SMALL |= {"evaluation_problems": 4, "max_new_tokens": 12}


def rows(artifact):
    return [json.loads(line) for line in artifact.file("metrics.jsonl").read_text().splitlines()]


def test_it_replays_what_the_stage_replays_at_the_same_rates(start, shards, tmp_path):
    config = SFTConfig(**SMALL, replay_windows=2)
    given = {"model": start / "model", "tokenizer": start / "tokenizer", "shards": shards}
    control = train_control(config, **given, output=tmp_path / "control")
    stage = train_sft(config, **given, instructions=start / "instructions.jsonl", output=tmp_path / "sft")
    ours, theirs = rows(control), rows(stage)
    assert [row["learning_rate"] for row in ours] == [row["learning_rate"] for row in theirs]
    assert ours[0]["replay_loss"] == theirs[0]["replay_loss"]  # the same windows, under the same weights
    assert ours[-1]["replay_loss"] != theirs[-1]["replay_loss"] and "loss" not in ours[0]
    assert control.file("model.safetensors").read_bytes() != stage.file("model.safetensors").read_bytes()


def test_a_control_of_nothing_is_refused(start, shards, tmp_path):
    with pytest.raises(ConfigurationError, match="replay_windows: 0, expected at least 1"):
        given = {"model": start / "model", "tokenizer": start / "tokenizer", "shards": shards}
        train_control(SFTConfig(**SMALL), **given, output=tmp_path / "control")


def test_the_tax_is_a_share_of_the_controls_bits():
    assert alignment_tax(0.51, 0.5) == pytest.approx(0.02)
    assert alignment_tax(0.5, 0.5) == 0.0
