"""The last moments of a run: which checkpoints stay, and signals and kills that come late."""

import os
import signal

import pytest

from lm.errors import Interrupted
from lm.evaluation import perplexity
from lm.storage import open_artifact
from lm.training import Trainer
from lm.training import run as running
from lm.training.checkpoint_writer import CheckpointWriter
from lm.training.pretrain import pretrain, work_folder
from tests.lm.training.corpora import config_of, stop_at


def test_checkpoints_and_their_work_folder_after_the_end(shards, tmp_path):
    output = tmp_path / "m"
    pretrain(config_of(), shards.path, output)
    assert not (work_folder(output) / "checkpoints").exists()
    lines = (work_folder(output) / "live.jsonl").read_text().splitlines()
    assert sum("tokens_per_s" in line for line in lines) == 11


def test_checkpoints_of_every_mth_step_stay_after_the_end(shards, tmp_path):
    pretrain(config_of(keep_every=5), shards.path, tmp_path / "m")
    work = work_folder(tmp_path / "m")
    kept = sorted(path.name for path in (work / "kept").iterdir())
    assert kept == ["step-00000005", "step-00000010"] and not (work / "checkpoints").exists()
    events = []
    other = pretrain(config_of(keep_every=5, seed=1), shards.path, tmp_path / "m", events.append)
    assert other.summary["steps"] == sum("loss" in event for event in events)  # it did not go on from what was kept


def test_what_a_kill_at_the_very_end_left_is_cleared(shards, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "clear", lambda writer: None)
        whole = pretrain(config_of(), shards.path, tmp_path / "m")
    checkpoints = work_folder(tmp_path / "m") / "checkpoints"
    assert checkpoints.exists()
    assert pretrain(config_of(), shards.path, tmp_path / "m").digest == whole.digest and not checkpoints.exists()


@pytest.mark.parametrize("other", [{"seed": 1}, {"keep_every": 2}])
def test_the_checkpoints_of_another_run_are_not_cleared(shards, tmp_path, other):
    """A whole artifact is asked for again while another configuration is on its way to the same place."""
    whole = pretrain(config_of(), shards.path, tmp_path / "m")
    with pytest.raises(Interrupted):
        pretrain(config_of(**other), shards.path, tmp_path / "m", lambda event: stop_at(event, 3))
    checkpoints = work_folder(tmp_path / "m") / "checkpoints"
    before = sorted(checkpoints.iterdir())
    assert pretrain(config_of(), shards.path, tmp_path / "m").digest == whole.digest
    assert before and sorted(checkpoints.iterdir()) == before
    next(iter(before)).joinpath("manifest.json").write_text("damaged")
    assert pretrain(config_of(), shards.path, tmp_path / "m").digest == whole.digest


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["last step", "evaluation"])
def test_a_signal_at_the_very_end_is_not_lost(shards, tmp_path, monkeypatch, when, number):
    config = config_of(evaluation_interval=0)
    whole = pretrain(config, shards.path, tmp_path / "whole")
    place = (perplexity, "_score_windows") if when == "evaluation" else (Trainer, "train_step")
    original, calls = getattr(*place), []

    def stopping(*arguments):
        calls.append(None)
        if len(calls) == (1 if when == "evaluation" else whole.summary["steps"]):
            os.kill(os.getpid(), number)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(*place, stopping)
        with pytest.raises(Interrupted, match=f"signal {int(number)} at step {whole.summary['steps']} of") as stopped:
            pretrain(config, shards.path, tmp_path / "m")
    assert stopped.value.exit_code == 128 + number and not (tmp_path / "m" / "manifest.json").exists()
    assert pretrain(config, shards.path, tmp_path / "m").digest == whole.digest


def test_a_signal_after_the_last_look_is_sent_again(shards, tmp_path, monkeypatch):
    """While the model is saved: the artifact becomes whole, and whoever called hears of the signal."""
    heard, original = [], running.save_model

    def saving(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        original(*arguments)

    monkeypatch.setattr(running, "save_model", saving)
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        artifact = pretrain(config_of(), shards.path, tmp_path / "m")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] and open_artifact(tmp_path / "m").digest == artifact.digest
