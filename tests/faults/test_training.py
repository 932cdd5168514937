"""Faults during training: killed, stopped, poisoned, or resumed as another run."""

import json
import os
import pickle
import random
import shutil
import signal
import struct
import time

import pytest
import torch

from lm.configuration import from_mapping
from lm.errors import ConfigurationError, InputError, IntegrityError, NoSpaceError
from lm.model import TransformerLM, load_model, preset, save_model
from lm.model.files import load_tensors
from lm.shards import TokenShards
from lm.storage import MANIFEST, open_artifact
from lm.training import BatchLoader, NonFiniteError, PretrainConfig, Trainer, make_reading_order
from lm.training.pretrain import pretrain, work_folder
from lm.training.run_checkpoint import newest_checkpoint
from tests.lm.training.corpora import SETTINGS, make_shards, start_run

WAVERING = {"learning_rate": 1e-6, "final_lr_fraction": 0.0}
"""A rate at which the loss rises about as often as it falls."""
NUM_KILLS = int(os.environ.get("LOAM_TEST_KILLS", "12"))


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("shards") / "s")


def _config(**changes):
    return from_mapping(PretrainConfig, {**SETTINGS, **changes})


def _stop_after(steps):
    """A `report` that sends this process a SIGTERM once the run has told of that many steps."""

    def report(event):
        if event.get("step") == steps and "loss" in event:
            os.kill(os.getpid(), signal.SIGTERM)

    return report


def _interrupt(config, shards, output, steps):
    with pytest.raises(Exception, match="stopped by signal 15") as stopped:
        pretrain(config, shards.path, output, _stop_after(steps))
    return stopped.value


def _wait_for_step(output, step, timeout_s=60):
    live = work_folder(output) / "live.jsonl"
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if live.exists() and f'"step": {step},' in live.read_text():
            return
        time.sleep(0.005)
    raise AssertionError(f"step {step} was not reached")


def _wait_for_another_checkpoint(folder, process, timeout_s=60):
    before = set(folder.glob(f"step-*/{MANIFEST}"))
    end = time.monotonic() + timeout_s
    while process.is_alive() and time.monotonic() < end and not set(folder.glob(f"step-*/{MANIFEST}")) - before:
        time.sleep(0.001)


@pytest.mark.fault(26)
def test_killed_again_and_again_it_ends_with_the_same_bytes(shards, tmp_path):
    """A checkpoint after each step, and kill -9 at random moments, most of them while one is written."""
    num_steps = 3 * NUM_KILLS + 4
    unbroken = pretrain(_config(num_steps=num_steps), shards.path, tmp_path / "unbroken")
    output = tmp_path / "killed"
    randomness = random.Random(0)
    resumed_from, killed = [], 0
    checkpoints = work_folder(output) / "checkpoints"
    for _ in range(NUM_KILLS):
        process = start_run(shards.path, output, num_steps=num_steps)
        _wait_for_another_checkpoint(checkpoints, process)
        time.sleep(randomness.uniform(0, 0.03))
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
        newest = newest_checkpoint(checkpoints, lambda event: None)
        resumed_from.append(0 if newest is None else newest.summary["step"])
    assert killed >= min(NUM_KILLS, 5)
    assert resumed_from == sorted(resumed_from)
    process = start_run(shards.path, output, num_steps=num_steps)
    process.join(60)
    assert process.exitcode == 0
    assert open_artifact(output).digest == unbroken.digest
    assert not list(tmp_path.rglob(".staging-*"))


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    "changes", [{}, {"microbatch_size": 3}, {"model": {"tie_embeddings": True}}, {"optimizer": "muon"}]
)
def test_stopping_anywhere_changes_nothing(shards, tmp_path, changes):
    """In mid-epoch, at its edge and in the step after: weights, moments, loss log are bit-equal."""
    config = _config(num_steps=14, **changes)
    unbroken = pretrain(config, shards.path, tmp_path / "unbroken")
    edge = _loader(shards).order.sources[0].windows.num_windows(0) // 4
    assert 1 < edge < 12
    for steps in (1, edge, edge + 1):
        output = tmp_path / f"stopped-{steps}"
        _interrupt(config, shards, output, steps)
        assert not (output / MANIFEST).exists()
        resumed = pretrain(config, shards.path, output)
        assert resumed.digest == unbroken.digest


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    "changes",
    [
        {"packing": "best_fit", "document_masks": True, "optimizer": "muon"},
        {"packing": "best_fit", "microbatch_size": 3, "optimizer": "adamw", "schedule": "wsd"},
        {"packing": "padded", "optimizer": "sgd", "nesterov": True},
        {"packing": "padded", "optimizer": "muon", "prefetch_batches": 0},
        {"source_weights": {"markov": 1.0}, "optimizer": "sgd", "z_loss": 1e-3},
        {"precision": "float16", "optimizer": "adamw", "decay_last": True},
        {"skip_spikes": True, "spike_threshold": 0.1, "num_steps": 30, **WAVERING},
        {"model": {"num_experts": 4, "expert_balance": "bias"}, "recomputation": "blocks"},
    ],
)
def test_every_packing_and_optimizer_resumes_exactly(shards, tmp_path, changes):
    config = _config(**{"num_steps": 14, **changes})
    unbroken = pretrain(config, shards.path, tmp_path / "unbroken")
    for steps in (4, 9):
        _interrupt(config, shards, tmp_path / "stopped", steps)
    assert pretrain(config, shards.path, tmp_path / "stopped").digest == unbroken.digest
    if config.skip_spikes:
        assert unbroken.summary["skipped_steps"] > 0


@pytest.mark.fault(27)
def test_a_checkpoint_holds_the_moments_bit_for_bit(shards, tmp_path):
    config = _config(num_steps=14)
    _interrupt(config, shards, tmp_path / "once", 10)
    _interrupt(config, shards, tmp_path / "twice", 4)
    _interrupt(config, shards, tmp_path / "twice", 10)
    once, twice = (
        open_artifact(work_folder(tmp_path / n) / "checkpoints" / "step-00000010") for n in ("once", "twice")
    )
    assert once.files == twice.files
    num_weights = len(load_tensors(once.file("model.safetensors")))
    assert len(load_tensors(once.file("optimizer.safetensors"))) == 2 * num_weights
    state = json.loads(once.file("state.json").read_bytes())
    assert list(state["optimizer"]["numbers"].values()) == [10] * num_weights


def _loader(shards):
    order = make_reading_order(TokenShards.open(shards, "train"), packing="stream", context_length=32, seed=0)
    return BatchLoader(order, batch_size=4)


@pytest.mark.fault(28)
@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_with_a_checkpoint_and_the_next_run_goes_on(shards, tmp_path, number, exit_code):
    output = tmp_path / "m"
    changes = {"num_steps": 3000, "checkpoint_interval": 0, "evaluation_interval": 0}
    process = start_run(shards.path, output, **changes)
    _wait_for_step(output, 3)
    os.kill(process.pid, number)
    process.join(20)
    assert process.exitcode == exit_code
    checkpoint = newest_checkpoint(work_folder(output) / "checkpoints", lambda event: None)
    stopped_at = checkpoint.summary["step"]
    assert 3 <= stopped_at < 3000 and not (output / MANIFEST).exists()
    process = start_run(shards.path, output, **changes)
    _wait_for_step(output, stopped_at + 1)
    os.kill(process.pid, number)
    process.join(20)
    assert process.exitcode == exit_code
    again = newest_checkpoint(work_folder(output) / "checkpoints", lambda event: None)
    assert again.summary["step"] > stopped_at
    steps = [json.loads(line)["step"] for line in again.file("metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(1, again.summary["step"] + 1))


@pytest.fixture
def trainer(shards):
    torch.manual_seed(0)
    model = TransformerLM(preset("test", vocab_size=64))
    return Trainer(_config(), model, _loader(shards))


@pytest.mark.fault(29)
def test_nan_in_the_loss_stops_before_the_update_and_names_the_documents(trainer):
    trainer.train_step()
    batch = BatchLoader.next_batch(trainer.loader)
    trainer.loader.restore({"all": {"epoch": 0, "position": 4}})
    culprits = trainer.loader.doc_ids(batch.places)
    with torch.no_grad():
        trainer.model.token_embeddings.weight[batch.ids[0, 0]] = float("nan")
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    with pytest.raises(NonFiniteError, match="step 2: loss is nan") as stopped:
        trainer.train_step()
    assert culprits[0] in str(stopped.value)
    for name, tensor in trainer.model.state_dict().items():
        assert torch.equal(tensor.nan_to_num(), before[name].nan_to_num()), name
    assert trainer.step == 1


@pytest.mark.fault(29)
def test_infinity_in_a_gradient_stops_before_the_update(trainer):
    trainer.model.ln_final.weight.register_hook(lambda gradient: gradient * float("inf"))
    before = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
    with pytest.raises(NonFiniteError, match=r"step 1: gradient norm is (inf|nan).*documents train-"):
        trainer.train_step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.model.state_dict().items())
    assert not trainer.optimizer.state


@pytest.mark.fault(29)
def test_only_the_documents_of_the_bad_microbatch_are_named(shards):
    model = TransformerLM(preset("test", vocab_size=64))
    loader = _loader(shards)
    trainer = Trainer(_config(microbatch_size=1), model, loader)
    batch = loader.next_batch()
    loader.restore({"all": {"epoch": 0, "position": 0}})
    rows = [set(ids[:-1].tolist()) for ids in batch.ids]
    only_in_last = min(rows[3] - rows[0] - rows[1] - rows[2])
    with torch.no_grad():
        model.token_embeddings.weight[only_in_last] = float("nan")
    with pytest.raises(NonFiniteError) as stopped:
        trainer.train_step()
    assert str(stopped.value).endswith("documents " + ", ".join(loader.doc_ids(batch.places[3:])))


@pytest.mark.fault(31)
def test_another_run_is_refused_field_by_field(shards, tmp_path):
    output = tmp_path / "m"
    _interrupt(_config(), shards, output, 3)
    other = _config(model={"d_ff": 64}, learning_rate=1e-3)
    with pytest.raises(ConfigurationError, match=r"learning_rate was 0.003, is 0.001; model.d_ff was None, is 64"):
        pretrain(other, shards.path, output)
    other_tokens = make_shards(tmp_path / "other", digest="tokenizer-2")
    with pytest.raises(ConfigurationError, match=r"inputs.token_shards was '[0-9a-f]{64}', is"):
        pretrain(_config(), other_tokens.path, output)
    # What shapes no weight may change.
    assert pretrain(_config(checkpoint_interval=5), shards.path, output).summary["steps"] == 12


@pytest.mark.fault(31)
def test_another_number_of_processes_deals_the_rest_exactly(shards):
    """The loader's state is that of the whole batch: 1 process, then 4, then 2 read what 1 would have read."""
    single, state, read = _loader(shards), _loader(shards).state(), []
    for world_size in (1, 4, 2):
        ranks = [
            BatchLoader(_loader(shards).order, batch_size=4, rank=r, world_size=world_size) for r in range(world_size)
        ]
        for loader in ranks:
            loader.restore(state)
        read += [torch.cat([loader.next_batch().ids for loader in ranks]) for _ in range(3)]
        state = ranks[0].state()
    assert all(torch.equal(ids, single.next_batch().ids) for ids in read)


@pytest.mark.fault(18)
def test_a_full_disk_surfaces_at_the_next_step_and_leaves_the_checkpoint_before(shards, tmp_path, small_disk):
    output = small_disk / "m"
    config = _config(num_steps=400, model={"d_model": 48})
    with pytest.raises(NoSpaceError, match=r"step-0*\d+: no space left on device"):
        filler = small_disk / "filler"

        def report(event):
            if event.get("step") == 3 and "loss" in event:
                filler.write_bytes(bytes(shutil.disk_usage(small_disk).free - 100_000))

        pretrain(config, shards.path, output, report)
    filler.unlink()
    newest = newest_checkpoint(work_folder(output) / "checkpoints", lambda event: None)
    assert newest is not None and newest.summary["step"] >= 1


@pytest.mark.fault(22)
def test_a_flipped_bit_in_a_checkpoint_is_refused_and_the_one_before_used(shards, tmp_path):
    output = tmp_path / "m"
    config = _config(num_steps=14)
    unbroken = pretrain(config, shards.path, tmp_path / "unbroken")
    _interrupt(config, shards, output, 6)
    folder = work_folder(output) / "checkpoints"
    newest = open_artifact(folder / "step-00000006")
    _flip(newest.folder / "optimizer.safetensors")
    messages = []
    resumed = pretrain(config, shards.path, output, lambda event: messages.append(event.get("message", "")))
    assert "optimizer.safetensors: sha256 is" in messages[0] and "step-00000005" in messages[1]
    assert resumed.digest == unbroken.digest


@pytest.mark.fault(22)
def test_no_whole_checkpoint_left_is_an_error_not_a_new_start(shards, tmp_path):
    _interrupt(_config(), shards, tmp_path / "m", 4)
    for manifest in (work_folder(tmp_path / "m") / "checkpoints").glob(f"*/{MANIFEST}"):
        _flip(open_artifact(manifest.parent).folder / "model.safetensors")
    with pytest.raises(IntegrityError, match=r"model\.safetensors: sha256 is"):
        pretrain(_config(), shards.path, tmp_path / "m")


def _flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)


class _Trap:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.fault(32)
def test_a_pickle_in_place_of_weights_is_refused_and_never_run(tmp_path):
    save_model(tmp_path, TransformerLM(preset("test")), "d")
    sprung = tmp_path / "sprung"
    (tmp_path / "model.safetensors").write_bytes(pickle.dumps(_Trap(sprung)))
    with pytest.raises(InputError, match=r"model\.safetensors: not a safetensors file"):
        load_model(tmp_path)
    torch.save({"x": _Trap(sprung)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="not a safetensors file"):
        load_model(tmp_path)
    assert not sprung.exists()


@pytest.mark.fault(32)
@pytest.mark.parametrize("claimed", [100 * 2**20, 2**62])
def test_a_giant_safetensors_header_is_refused(tmp_path, claimed):
    save_model(tmp_path, TransformerLM(preset("test")), "d")
    header = struct.pack("<Q", claimed) + b"{" + b" " * min(claimed, 100 * 2**20)
    (tmp_path / "model.safetensors").write_bytes(header)
    with pytest.raises(InputError, match="not a safetensors file"):
        load_model(tmp_path)
