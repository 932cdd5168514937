"""Expert iteration: rounds that learn, from the base or the last model, and go on where a signal stopped them."""

import json
import os
import signal

import pytest

pytest.importorskip("safetensors")
pytest.importorskip("lm.tokenizer")

from lm.alignment.config import SFTConfig
from lm.alignment.expert_config import ExpertConfig, RejectionConfig
from lm.alignment.expert_iteration import iterate_experts
from lm.errors import ConfigurationError, Interrupted
from tests.lm.alignment.test_rejection import places

SMALL = {"device": "cpu", "num_threads": 1, "max_new_tokens": 12, "optimizer": "adamw", "warmup_steps": 1}
TINY = {**SMALL, "num_rounds": 2, "num_steps": 3, "batch_size": 8, "num_problems": 8, "evaluation_problems": 4}


def rows_of(artifact):
    return [json.loads(line) for line in artifact.file("metrics.jsonl").read_text().splitlines()]


def test_rounds_raise_the_pass_rate(start, weak, tmp_path):
    config = ExpertConfig(
        **SMALL, num_rounds=2, num_steps=30, batch_size=16, learning_rate=5e-3, num_samples=16, most_kept=4
    )
    events = []
    artifact = iterate_experts(config, **places(start, weak.path, tmp_path / "expert"), report=events.append)
    assert set(artifact.names()) == {
        "model.safetensors", "model.json", "metrics.jsonl", "evaluation.json", "samples.jsonl"
    }  # fmt: skip
    rows = rows_of(artifact)
    assert [row["step"] for row in rows] == [1, 2]
    assert rows[1]["pass_rate"] >= rows[0]["pass_rate"] + 0.08
    for row in rows:
        assert row["pass_rate"] == row["num_right"] / row["num_sampled"] and row["num_sampled"] == 256
        assert row["num_right"] == row["num_kept"] + row["num_repeated"] + row["num_surplus"]
    summary = artifact.summary
    assert summary["greedy"]["verified_rate"] == rows[-1]["greedy_verified_rate"]
    assert summary["greedy"]["verified_rate"] >= summary["before"]["greedy"]["verified_rate"]
    assert summary["rounds"] == rows and {event["round"] for event in events if "round" in event} == {1, 2}
    assert not (tmp_path / "expert.work" / "rounds").exists()


@pytest.mark.fault(28)
def test_a_stopped_iteration_goes_on_to_the_same_bytes(start, weak, shards, tmp_path):
    config = ExpertConfig(**TINY, replay_windows=1)
    whole = iterate_experts(config, **places(start, weak.path, tmp_path / "whole"), shards=shards)
    arguments = {**places(start, weak.path, tmp_path / "stopped"), "shards": shards}
    stops = [
        lambda event: event.get("message") and event["round"] == 1,  # its samples are there
        lambda event: event.get("step") == 2 and event.get("round") == 1,  # within SFT
        lambda event: event.get("step") == 1 and "pass_rate" in event,  # between the rounds
        lambda event: event.get("step") == 1 and event.get("round") == 2,
    ]
    messages = ["after the samples of round 1", "after step 2", "after round 1", "after step 1"]
    seen = []
    for stop, message in zip(stops, messages, strict=True):

        def report(event, stop=stop):
            seen.append(event)
            if stop(event):
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Interrupted, match=f"stopped by SIGTERM {message}; nothing was published"):
            iterate_experts(config, **arguments, report=report)
    resumed = iterate_experts(config, **arguments, report=seen.append)
    assert resumed.files == whole.files and resumed.digest == whole.digest
    steps = [(event["round"], event["step"]) for event in seen if {"round", "step"} <= event.keys()]
    assert steps == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]  # none twice
    events = []
    assert iterate_experts(config, **arguments, report=events.append).digest == whole.digest and events == []


def test_a_round_starts_from_the_base_where_it_is_told_to(start, weak, tmp_path):
    """The second round of both ways samples from the same model, and tunes another."""
    first, second = (
        iterate_experts(ExpertConfig(**TINY, round_start=way), **places(start, weak.path, tmp_path / way))
        for way in ("last", "base")
    )
    both = [rows_of(artifact) for artifact in (first, second)]
    assert both[0][0] == both[1][0]
    assert both[0][1]["num_right"] == both[1][1]["num_right"] and both[0][1]["loss"] != both[1][1]["loss"]


def test_a_round_has_the_settings_of_both_parts_and_a_seed_of_its_own():
    config = ExpertConfig(seed=3, num_samples=7, temperature=0.5, learning_rate=2e-3, lora_rank=0, max_new_tokens=9)
    sampling, tuning = config.sampling(2), config.tuning(2)
    assert type(sampling) is RejectionConfig and type(tuning) is SFTConfig
    assert (sampling.num_samples, sampling.temperature, sampling.max_new_tokens) == (7, 0.5, 9)
    assert (tuning.learning_rate, tuning.num_steps, tuning.max_new_tokens) == (2e-3, 50, 9)
    seeds = {config.sampling(number).seed for number in (1, 2, 3)}
    assert len(seeds) == 3 and tuning.seed == sampling.seed


def test_replay_needs_shards(start, weak, tmp_path):
    with pytest.raises(ConfigurationError, match="replay_windows: 1 without token shards"):
        iterate_experts(ExpertConfig(**TINY, replay_windows=1), **places(start, weak.path, tmp_path / "expert"))
