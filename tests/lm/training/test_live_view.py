"""What a person sees of a run on its way: live.jsonl and TensorBoard."""

from pathlib import Path

import pytest
import torch

from lm.errors import Interrupted, NoSpaceError
from lm.model import preset
from lm.training.live_view import LiveView
from lm.training.metrics import live_rows
from lm.training.pretrain import pretrain, silent, work_folder
from tests.lm.training.corpora import config_of, stop_at


def test_tensorboard_shows_the_curves(shards, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    pretrain(config_of(), shards.path, tmp_path / "m")
    (file,) = (work_folder(tmp_path / "m") / "tensorboard").iterdir()
    tags = [(event.step, value.tag) for event in EventFileLoader(str(file)).Load() for value in event.summary.value]
    assert [step for step, tag in tags if tag == "loss"] == list(range(1, 13))
    assert [step for step, tag in tags if tag == "validation_loss"] == [5, 10]


def test_the_live_view_tells_speed_utilization_and_memory(shards, tmp_path):
    pretrain(config_of(), shards.path, tmp_path / "m")
    row = [row for row in live_rows(tmp_path / "m") if "tokens_per_s" in row][-1]
    assert 0 < row["mfu_measured"] < 1 and row["seconds_left"] == 0 and row["peak_memory_bytes"] > 10**7
    assert "mfu_data_sheet" not in row


def test_the_live_view_of_a_resumed_run_has_each_step_once(shards, tmp_path):
    with pytest.raises(Interrupted):
        pretrain(config_of(), shards.path, tmp_path / "m", lambda event: stop_at(event, 5))
    path = work_folder(tmp_path / "m") / "live.jsonl"
    path.write_text(path.read_text() + '{"step": 7, "lo')  # a kill in the middle of a line
    pretrain(config_of(), shards.path, tmp_path / "m")
    rows = [row for row in live_rows(tmp_path / "m") if "loss" in row]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1)) and len(rows) > 6
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds) and seconds[0] > 0
    pretrain(config_of(seed=1), shards.path, tmp_path / "m")
    assert [row["step"] for row in live_rows(tmp_path / "m") if "loss" in row] == [row["step"] for row in rows]


def test_a_full_disk_under_the_live_view_names_the_file(tmp_path):
    work = tmp_path / "m.work"
    view = LiveView(
        work,
        silent,
        first_step=0,
        num_steps=9,
        device=torch.device("cpu"),
        dtype=torch.float32,
        model=preset("test"),
    )
    view._close_lines()
    view._lines = Path("/dev/full").open("w")  # noqa: SIM115 - the view closes it
    with pytest.raises(NoSpaceError, match=r"live\.jsonl: no space left on device \(\d+ bytes needed\)"), view:
        view.event({"step": 1, "loss": 1.0})


def test_a_warm_up_longer_than_the_run_is_told(shards, tmp_path):
    events = []
    pretrain(config_of(num_steps=4, warmup_steps=9), shards.path, tmp_path / "m", events.append)
    assert "warmup_steps 9 of a run of 4 steps: the learning rate does not reach" in events[0]["message"]
