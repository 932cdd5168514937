"""A run from token shards to a published model: it learns, repeats byte for byte, scores and samples."""

import itertools
import json
import math

import pytest
import torch

from lm.errors import ConfigurationError, InputError
from lm.evaluation.perplexity import evaluate_perplexity
from lm.model import load_model
from lm.storage import publish
from lm.training import run as run_module
from lm.training.checkpoint_writer import CheckpointClock
from lm.training.pretrain import pretrain, silent, work_folder
from lm.training.run_checkpoint import checkpoint_folders, step_of
from tests.lm.training.corpora import config_of


def test_a_run_learns_and_its_artifact_says_so(shards, tmp_path):
    events = []
    config = config_of(num_steps=150, learning_rate=1e-2, checkpoint_interval=0)
    artifact = pretrain(config, shards.path, tmp_path / "m", events.append)
    summary = artifact.summary
    assert summary["tokens"] == 150 * 4 * 32 and summary["steps"] == 150
    assert summary["first_loss"] == pytest.approx(4.16, abs=0.4)
    # The chain's entropy is at most ln 4; the model must come most of the way from ln 64.
    assert summary["last_loss"] < 2.2
    rows = [json.loads(line) for line in artifact.file("metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if "loss" in row]
    assert [row["step"] for row in steps] == list(range(1, 151))
    assert steps[-1] == {key: steps[-1][key] for key in ("step", "loss", "gradient_norm", "learning_rate", "tokens")}
    assert [row["step"] for row in rows if "validation_loss" in row] == list(range(5, 150, 5))
    assert events[-1]["step"] == 150 and events[-1]["seconds_left"] == 0 and events[-1]["tokens_per_s"] > 0
    model, digest = load_model(artifact)
    score = evaluate_perplexity(model, shards)
    evaluation = json.loads(artifact.file("evaluation.json").read_bytes())
    assert digest == "tokenizer-1"
    assert evaluation["bits_per_byte"] == score.bits_per_byte == summary["bits_per_byte"]


def test_the_same_run_gives_the_same_bytes_and_is_not_done_twice(shards, tmp_path):
    first, second = (pretrain(config_of(), shards.path, tmp_path / name) for name in ("a", "b"))
    assert first.digest == second.digest
    before = (first.path / "manifest.json").stat().st_mtime_ns
    events = []
    assert pretrain(config_of(), shards.path, tmp_path / "a", events.append).digest == first.digest
    assert (first.path / "manifest.json").stat().st_mtime_ns == before and not events
    assert pretrain(config_of(seed=1), shards.path, tmp_path / "a").digest != first.digest


def test_microbatches_give_the_same_training(shards, tmp_path):
    whole = pretrain(config_of(), shards.path, tmp_path / "whole")
    split = pretrain(config_of(microbatch_size=3), shards.path, tmp_path / "split")
    a, b = (load_model(artifact)[0].state_dict() for artifact in (whole, split))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4)


def test_a_run_ends_where_its_tokens_do(shards, tmp_path):
    config = config_of(num_steps=0, num_tokens=1000)
    assert config.steps(32) == 8
    assert pretrain(config, shards.path, tmp_path / "m").summary["tokens"] == 1024


def test_unknown_devices_and_presets_are_named(shards, tmp_path):
    for device in ("toaster", "meta", "mps", "xpu", "cpu:x", "cuda:01", "cuda:99999999999999"):
        with pytest.raises(ConfigurationError, match=f"device: '{device}', expected auto, cpu, cuda"):
            pretrain(config_of(device=device), shards.path, tmp_path / "m")
    with pytest.raises(ConfigurationError, match="but this machine has"):
        pretrain(config_of(device="cuda:99"), shards.path, tmp_path / "m")
    with pytest.raises(ConfigurationError, match="preset: unknown key 'huge'"):
        pretrain(config_of(preset="huge"), shards.path, tmp_path / "m")


def test_shards_without_text_bytes_are_refused_before_training(tmp_path):
    with publish(tmp_path / "s", kind="token_shards", config={}, inputs={}, code="x"):
        pass
    with pytest.raises(InputError, match="no text_bytes of split 'validation'"):
        pretrain(config_of(), tmp_path / "s", tmp_path / "m")


def test_sources_are_scored_apart_and_text_is_sampled(words, tmp_path):
    events = []
    config = config_of(
        num_steps=60, learning_rate=1e-2, evaluation_interval=20, evaluation_tokens=0, sample_interval=30
    )
    artifact = pretrain(config, words / "s", tmp_path / "m", events.append, words / "tokenizer")
    evaluation = json.loads(artifact.file("evaluation.json").read_bytes())
    assert set(evaluation["sources"]) == {"poems", "letters"}
    assert evaluation["bits_per_byte"] < 3
    looks = [event for event in events if "validation_loss" in event]
    assert [look["step"] for look in looks] == [20, 40]
    size = evaluation["text_bytes"]
    nats = looks[-1]["validation_loss"] * evaluation["num_tokens"]
    assert looks[-1]["bits_per_byte"] == pytest.approx(nats / math.log(2) / size)
    for source in ("poems", "letters"):
        assert looks[-1][f"validation_loss/{source}"] > evaluation["sources"][source]["validation_loss"]
        assert looks[-1][f"bits_per_byte/{source}"] > evaluation["sources"][source]["bits_per_byte"]
    samples = [row for row in _rows(artifact) if "sample" in row]
    assert [row["step"] for row in samples] == [30, 60] and set(samples[-1]["sample"]) & set("dearsth")
    again = pretrain(config, words / "s", tmp_path / "again", silent, words / "tokenizer")
    assert again.digest == artifact.digest


def _rows(artifact):
    return [json.loads(line) for line in artifact.file("metrics.jsonl").read_text().splitlines()]


def test_samples_need_the_shards_own_tokenizer(words, shards, tmp_path):
    with pytest.raises(ConfigurationError, match="sample_interval: 5, expected 0 without a tokenizer"):
        pretrain(config_of(sample_interval=5), shards.path, tmp_path / "m")
    with pytest.raises(InputError, match="ids come from tokenizer tokenizer-1, not from"):
        pretrain(config_of(), shards.path, tmp_path / "m", silent, words / "tokenizer")


def test_spikes_are_told_and_counted(shards, tmp_path):
    events = []
    still = {"learning_rate": 1e-6, "final_lr_fraction": 0.0}
    config = config_of(num_steps=30, skip_spikes=True, spike_threshold=0.1, **still)
    artifact = pretrain(config, shards.path, tmp_path / "m", events.append)
    told = [event["message"] for event in events if "is a spike" in str(event.get("message"))]
    assert len(told) == artifact.summary["skipped_steps"] > 0
    assert all(message.endswith("; the update was skipped") for message in told)
    assert sum(row.get("skipped") == "spike" for row in _rows(artifact)) == len(told)


def test_deterministic_kernels_are_asked_for_and_let_go(shards, tmp_path):
    seen = []

    def report(event):
        seen.append(torch.are_deterministic_algorithms_enabled())

    same = pretrain(config_of(deterministic=True), shards.path, tmp_path / "m", report)
    assert all(seen) and not torch.are_deterministic_algorithms_enabled()
    other = pretrain(config_of(), shards.path, tmp_path / "n")
    assert same.files["model.safetensors"] == other.files["model.safetensors"]


def test_by_the_clock_alone_a_run_has_checkpoints_to_go_on_from(shards, tmp_path, monkeypatch):
    seen, seconds = [], itertools.count(step=1000)
    monkeypatch.setattr(run_module, "CheckpointClock", lambda every: CheckpointClock(every, now=lambda: next(seconds)))

    def report(event):
        seen.append({step_of(path) for path in checkpoint_folders(work_folder(tmp_path / "m") / "checkpoints")})

    config = config_of(num_steps=20, checkpoint_interval=0, checkpoint_interval_s=2500, evaluation_interval=0)
    pretrain(config, shards.path, tmp_path / "m", report)
    assert len(set().union(*seen)) >= 2
