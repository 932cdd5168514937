"""Checkpoints of any module and optimizer, and the writer that runs beside the training."""

import copy
import json
import shutil
import threading

import pytest
import torch
from torch import nn

from lm.errors import InputError, IntegrityError
from lm.model import TransformerLM, preset
from lm.model.files import load_tensors
from lm.storage import open_artifact
from lm.training import SGD, AdamW, Muon, load_checkpoint, muon_groups, save_checkpoint
from lm.training import checkpoint_writer as writing
from lm.training.checkpoint import verify
from lm.training.checkpoint_writer import KEPT, CheckpointWriter
from lm.training.metrics import MetricsLog
from lm.training.run_checkpoint import Snapshot, checkpoint_folders, is_of_run, step_of, take_snapshot
from tests.lm.training.test_trainer import make_trainer, shards  # noqa: F401 - a fixture

IDENTITY = {"config": {}, "inputs": {}, "code": "test"}
OPTIMIZERS = {
    "AdamW": lambda model: AdamW(model.parameters(), lr=1e-2),
    "SGD": lambda model: SGD(model.parameters(), lr=1e-2, momentum=0.9),
    "torch.AdamW": lambda model: torch.optim.AdamW(model.parameters(), lr=1e-2),
    "torch.AdamW fused": lambda model: torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True),
    "torch.SGD": lambda model: torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9),
    "torch.Adafactor": lambda model: torch.optim.Adafactor(model.parameters(), lr=1e-2),
    "torch.RMSprop": lambda model: torch.optim.RMSprop(model.parameters(), lr=1e-2),
}


def every(number):
    """The steps that `keep_every` keeps."""
    return lambda step: number > 0 and step > 0 and step % number == 0


def make_module(seed=0, width=8):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Embedding(16, width), nn.Linear(width, width), nn.BatchNorm1d(width), nn.Linear(width, 16))
    model[3].weight = model[0].weight
    return model


def step(model, optimizer, seed):
    torch.manual_seed(seed)
    ids = torch.randint(16, (32,))
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(ids), ids.roll(1)).backward()
    optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_any_module_and_optimizer_go_on_as_if_never_stopped(tmp_path, name):
    whole = make_module()
    optimizer = OPTIMIZERS[name](whole)
    for number in range(8):
        step(whole, optimizer, number)
        if number == 4:
            save_checkpoint(whole, optimizer, 5, tmp_path / "c")
    resumed = make_module(seed=1)
    again = OPTIMIZERS[name](resumed)
    assert load_checkpoint(str(tmp_path / "c"), resumed, again) == 5
    for number in range(5, 8):
        step(resumed, again, number)
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[key]), key
    assert resumed[3].weight is resumed[0].weight


def test_settings_come_back_and_the_module_loads_alone(tmp_path):
    model = make_module()
    save_checkpoint(model, AdamW(model.parameters(), lr=0.5, betas=(0.1, 0.2)), 3, tmp_path / "c")
    other = make_module(seed=1)
    optimizer = AdamW(other.parameters(), lr=0.1)
    assert load_checkpoint(tmp_path / "c", other) == 3
    assert optimizer.param_groups[0]["lr"] == 0.1
    load_checkpoint(tmp_path / "c", other, optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.5 and optimizer.param_groups[0]["betas"] == (0.1, 0.2)


def test_the_state_of_muon_lies_under_the_names_of_the_weights(tmp_path):
    model = TransformerLM(preset("test"))
    optimizer = Muon(muon_groups(model, 0.1))
    model(torch.randint(128, (2, 8))).sum().backward()
    optimizer.step()
    artifact = save_checkpoint(model, optimizer, 1, tmp_path / "c")
    names = load_tensors(artifact.file("optimizer.safetensors"))
    assert "layers.0.attn.q_proj.weight/momentum" in names and "lm_head.weight/exp_avg_sq" in names
    twin = TransformerLM(preset("test"))
    restored = Muon(muon_groups(twin, 0.1))
    load_checkpoint(tmp_path / "c", twin, restored)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        for key, value in optimizer.state[ours].items():
            assert torch.equal(torch.as_tensor(value), torch.as_tensor(restored.state[theirs][key]))


def test_what_does_not_fit_is_named(tmp_path):
    model = make_module()
    optimizer = AdamW(model.parameters())
    step(model, optimizer, 0)
    save_checkpoint(model, optimizer, 1, tmp_path / "c")
    with pytest.raises(InputError, match=r"'0.weight' is \[16, 8\], expected \[16, 12\]"):
        load_checkpoint(tmp_path / "c", make_module(width=12))
    with pytest.raises(InputError, match=r"has no tensor '4.bias' \(2 names differ\)"):
        load_checkpoint(tmp_path / "c", make_module().append(nn.Linear(16, 2)))
    with pytest.raises(InputError, match="1 groups of weights, the optimizer has 2"):
        weights = list(model.parameters())
        load_checkpoint(tmp_path / "c", model, AdamW([{"params": weights[:2]}, {"params": weights[2:]}]))
    with pytest.raises(InputError, match=r"group 0 of the optimizer holds other weights: '0.weight'"):
        load_checkpoint(tmp_path / "c", model, AdamW(weights[1:]))
    with pytest.raises(InputError, match="no artifact here"):
        load_checkpoint(tmp_path / "d", model)
    with pytest.raises(InputError, match=r"updates a tensor \[3\] that is not a parameter of the model"):
        save_checkpoint(model, AdamW([nn.Parameter(torch.zeros(3))]), 1, tmp_path / "e")


def test_a_flipped_bit_is_refused(tmp_path):
    model = make_module()
    artifact = save_checkpoint(model, AdamW(model.parameters()), 1, tmp_path / "c")
    file = artifact.folder / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-3] ^= 4
    file.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"model\.safetensors: sha256 is"):
        load_checkpoint(tmp_path / "c", make_module(seed=1))


def snapshot(number, value=1.0):
    return Snapshot(number, {"w": torch.full((4,), value)}, {}, {"step": number}, MetricsLog())


def steps_in(folder):
    return sorted(step_of(path) for path in checkpoint_folders(folder))


def killed_after_one_move():
    moved, move = [], shutil.move

    def moving(source, target):
        if moved:
            raise KeyboardInterrupt
        moved.append(move(source, target))

    return moving


def test_step_0_is_no_multiple(tmp_path):
    writer = CheckpointWriter(tmp_path / "c", IDENTITY, keep=1, is_kept=every(3))
    for number in (0, 1):
        writer.write(snapshot(number))
    writer.wait()
    assert steps_in(tmp_path / "c") == [1]
    writer.close()


def test_the_newest_and_every_mth_stay(tmp_path, monkeypatch):
    folder, kept = tmp_path / "checkpoints", tmp_path / KEPT
    writer = CheckpointWriter(folder, IDENTITY, keep=2, is_kept=every(3))
    for number in range(1, 9):
        writer.write(snapshot(number))
    writer.wait()
    assert steps_in(folder) == [3, 6, 7, 8]
    (folder / "step-00000009").mkdir()  # of a write that was killed
    before = CheckpointWriter(kept, {**IDENTITY, "code": "of a run before"}, keep=9)
    for number in (3, 4):
        before.write(snapshot(number))
    before.wait()
    with monkeypatch.context() as patch:
        patch.setattr(writing.shutil, "move", killed_after_one_move())
        with pytest.raises(KeyboardInterrupt):
            writer.clear()
    writer.clear()
    assert steps_in(kept) == [3, 6] and not folder.exists()
    assert all(is_of_run(path, IDENTITY) for path in checkpoint_folders(kept))
    CheckpointWriter(folder, {**IDENTITY, "code": "of a run after"}, keep=1).clear()
    assert steps_in(kept) == []
    for each in (writer, before):
        each.close()
    plain = CheckpointWriter(tmp_path / "plain", IDENTITY, keep=1)
    plain.write(snapshot(1))
    plain.clear()
    assert not (tmp_path / "plain").exists()


@pytest.mark.parametrize("keep_every", [0, 5])
@pytest.mark.parametrize("keep", [1, 2])
def test_a_damaged_one_of_a_later_step_counts_for_nothing(tmp_path, keep, keep_every):
    """A run that passed it over and went on from before writes its own, which stays."""
    writer = CheckpointWriter(tmp_path, IDENTITY, keep=keep, is_kept=every(keep_every))
    for number in (8, 10):
        writer.write(snapshot(number))
    writer.wait()
    (tmp_path / "step-00000010" / "state.json").write_text("damaged")
    for number in (8, 9):
        writer.write(snapshot(number))
        writer.wait()
        assert steps_in(tmp_path)[-1] == number
        verify(open_artifact(tmp_path / f"step-{number:08d}"))
    assert steps_in(tmp_path) == ([9] if keep == 1 else [8, 9])
    writer.close()


def test_an_old_one_goes_only_when_the_new_one_is_whole(tmp_path, monkeypatch):
    writer = CheckpointWriter(tmp_path, IDENTITY, keep=1)
    writer.write(snapshot(1))
    writer.wait()

    def damaged(folder, taken, **identity):
        raise IntegrityError("read back and found wrong")

    monkeypatch.setattr(writing, "write_snapshot", damaged)
    writer.write(snapshot(2))
    with pytest.raises(IntegrityError, match="found wrong"):
        writer.wait()
    assert steps_in(tmp_path) == [1]
    writer.raise_failure()  # told once
    writer.close()


def test_an_error_surfaces_between_steps_and_not_before_the_write_ends(tmp_path, monkeypatch):
    gate = threading.Event()

    def slow(folder, taken, **identity):
        assert gate.wait(20)
        raise IntegrityError("broken disk")

    monkeypatch.setattr(writing, "write_snapshot", slow)
    writer = CheckpointWriter(tmp_path, IDENTITY, keep=1)
    writer.write(snapshot(1))
    writer.raise_failure()
    gate.set()
    with pytest.raises(IntegrityError, match="broken disk"):
        while True:
            writer.raise_failure()
    writer.close()


def test_a_checkpoint_holds_the_moment_of_its_snapshot_while_the_run_moves_on(tmp_path, monkeypatch, shards):  # noqa: F811
    trainer, log = make_trainer(shards, optimizer="muon"), MetricsLog()
    log.add(1, trainer.train_step().row())
    gate, write = threading.Event(), writing.write_snapshot

    def slow(folder, taken, **identity):
        assert gate.wait(20)
        return write(folder, taken, **identity)

    monkeypatch.setattr(writing, "write_snapshot", slow)
    writer = CheckpointWriter(tmp_path, IDENTITY, keep=1)
    expected = copy.deepcopy(trainer.model.state_dict())
    loader = trainer.loader.state()
    writer.write(take_snapshot(trainer, log))
    for _ in range(3):
        log.add(trainer.step + 1, trainer.train_step().row())
    gate.set()
    writer.wait()
    written = open_artifact(tmp_path / "step-00000001")
    for name, tensor in load_tensors(written.file("model.safetensors")).items():
        assert torch.equal(tensor, expected[name])
    state = json.loads(written.file("state.json").read_bytes())
    assert state["step"] == 1 and state["loader"] == loader
    assert len(written.file("metrics.jsonl").read_text().splitlines()) == 1
    writer.close()


def test_a_checkpoint_that_does_not_fit_changes_nothing(tmp_path):
    model = make_module()
    optimizer = AdamW(model.parameters())
    step(model, optimizer, 0)
    save_checkpoint(model, optimizer, 1, tmp_path / "c")
    other = make_module(seed=1)
    before = copy.deepcopy(other.state_dict())
    weights = list(other.parameters())
    with pytest.raises(InputError, match="1 groups of weights, the optimizer has 2"):
        load_checkpoint(tmp_path / "c", other, AdamW([{"params": weights[:2]}, {"params": weights[2:]}]))
    wide = make_module(width=12)
    moments = AdamW(wide.parameters())
    with pytest.raises(InputError, match="expected"):
        load_checkpoint(tmp_path / "c", wide, moments)
    assert not moments.state
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_lists_of_tensors_cannot_be_saved_and_are_named(tmp_path):
    model = nn.Linear(4, 4)
    optimizer = torch.optim.LBFGS(model.parameters())

    def loss():
        optimizer.zero_grad()
        value = model(torch.ones(2, 4)).square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    with pytest.raises(InputError, match="holds a Tensor, which cannot be saved"):
        save_checkpoint(model, optimizer, 1, tmp_path / "c")


def test_the_clock_waits_for_its_interval_and_for_fifty_times_the_cost():
    now = [0.0]
    clock = writing.CheckpointClock(10.0, now=lambda: now[0])
    due = []
    for now[0], cost in ((9.9, 0.0), (10.0, 0.0), (10.0, 0.3), (14.9, 0.3), (15.0, 0.3)):
        due.append(clock.is_due(cost))
    assert due == [False, True, False, False, True]
    clock.restart()
    assert not clock.is_due(0.0) and not writing.CheckpointClock(0.0, now=lambda: 1e9).is_due(0.0)
