"""The control is the stages' replay alone: the gradient of text, their schedules, and no example."""

import json
import math

import pytest

from lm.alignment.config import DeviceConfig, DPOConfig, GRPOConfig, SFTConfig
from lm.alignment.control import _Stage, alignment_tax, train_control
from lm.alignment.dpo import train_dpo
from lm.alignment.policy import Tuner
from lm.alignment.replay import Replay
from lm.alignment.sft import train_sft
from lm.configuration import to_mapping
from lm.errors import InputError
from lm.model import load_model, save_model
from lm.storage import open_artifact, publish
from lm.tokenizer import Tokenizer
from tests.lm.alignment.conftest import shows_metrics

SMALL = {"optimizer": "adamw", "num_steps": 4, "warmup_steps": 1, "batch_size": 4, "device": "cpu", "num_threads": 1}
SMALL |= {"evaluation_problems": 4, "max_new_tokens": 12}
CONTROL = DeviceConfig(device="cpu", num_threads=1)


def rows(artifact):
    return [json.loads(line) for line in artifact.file("metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def given(start, shards):
    return {"tokenizer": start / "tokenizer", "shards": shards}


@pytest.fixture(scope="module")
def sft(start, given, tmp_path_factory):
    config = SFTConfig(**SMALL, replay_windows=2)
    return train_sft(
        config,
        **given,
        model=start / "model",
        instructions=start / "instructions.jsonl",
        output=tmp_path_factory.mktemp("stages") / "sft",
    )


@pytest.fixture(scope="module")
def dpo(start, given, sft, tmp_path_factory):
    """A stage that ended early: its pairs count as told apart from the tenth step on."""
    config = DPOConfig(**{**SMALL, "num_steps": 20}, replay_windows=1, saturation=100.0)
    return train_dpo(
        config,
        **given,
        model=sft.path,
        preferences=start / "preferences.jsonl",
        output=tmp_path_factory.mktemp("stages") / "dpo",
    )


def test_it_replays_what_the_stages_replay_at_the_same_rates(start, given, sft, dpo, tmp_path):
    stages = {"sft": sft.path, "dpo": dpo.path}
    control = train_control(CONTROL, **given, model=start / "model", stages=stages, output=tmp_path / "control")
    ours, theirs = rows(control), [*rows(sft), *rows(dpo)]
    assert len(rows(sft)) == 4 and len(rows(dpo)) == 10
    assert [row["learning_rate"] for row in ours] == [row["learning_rate"] for row in theirs]
    assert ours[0]["replay_loss"] == theirs[0]["replay_loss"]  # the same windows, under the same weights
    assert ours[3]["replay_loss"] != theirs[3]["replay_loss"] and "loss" not in ours[0]
    found = json.loads(control.file("evaluation.json").read_text())
    assert [found[name]["num_updates"] for name in stages] == [4, 10]
    for figures in found.values():
        assert figures["tax"] == alignment_tax(figures["bits_per_byte"], figures["control_bits_per_byte"])
    assert found == control.summary
    assert shows_metrics(tmp_path / "control", ours)


def test_a_step_of_several_updates_is_followed_update_by_update(tmp_path):
    settings = to_mapping(GRPOConfig(updates_per_rollout=2, replay_windows=1))
    with publish(tmp_path / "grpo", kind="grpo_model", config=settings, inputs={}, code="test") as publication:
        (publication.path / "metrics.jsonl").write_text("{}\n" * 3)
    assert _Stage("grpo", tmp_path / "grpo").num_updates == 6


@pytest.fixture(scope="module")
def fluent(start, shards, tmp_path_factory):
    """A model that has learned the shards' text."""
    tokenizer = Tokenizer.load(start / "tokenizer")
    model, _ = load_model(open_artifact(start / "model"), "cpu", tokenizer.digest)
    config = SFTConfig(**{**SMALL, "num_steps": 60}, replay_windows=4, learning_rate=5e-3)
    tuner = Tuner(model.train(), config, Replay.of(config, open_artifact(shards), model, tokenizer.digest))
    for _ in range(config.num_steps):
        tuner.step()
    folder = tmp_path_factory.mktemp("fluent") / "model"
    with publish(folder, kind="pretrained_model", config={}, inputs={}, code="test") as publication:
        save_model(publication.path, model, tokenizer.digest)
    return folder


@pytest.mark.parametrize(("windows", "least", "most"), [(0, 0.3, math.inf), (4, -math.inf, 0.15)])
def test_the_tax_finds_the_language_that_a_stage_without_replay_loses(
    start, given, fluent, tmp_path, windows, least, most
):
    config = SFTConfig(**{**SMALL, "num_steps": 30}, learning_rate=2e-3, final_lr_fraction=0.0, replay_windows=windows)
    instructions = start / "instructions.jsonl"
    stage = train_sft(config, **given, model=fluent, instructions=instructions, output=tmp_path / "sft")
    output = tmp_path / "control"
    control = train_control(CONTROL, **given, model=fluent, stages={"sft": stage.path}, output=output)
    weights = [each.file("model.safetensors").read_bytes() for each in (control, open_artifact(fluent))]
    assert len(rows(control)) == (30 if windows else 0) and (weights[0] == weights[1]) == (windows == 0)
    assert least < control.summary["sft"]["tax"] < most


def test_what_cannot_be_followed_is_named(start, given, sft, tmp_path):
    for stages, message in (({}, "stages: none given"), ({"ppo": sft.path}, "stage 'ppo', expected one of sft, dpo")):
        with pytest.raises(InputError, match=message):
            train_control(CONTROL, **given, model=start / "model", stages=stages, output=tmp_path / "control")


def test_the_tax_is_a_share_of_the_controls_bits():
    assert alignment_tax(0.51, 0.5) == pytest.approx(0.02)
    assert alignment_tax(0.5, 0.5) == 0.0
