import json
import math
import os
import signal
from pathlib import Path

import pytest
import torch

from lm.configuration import from_mapping, to_mapping
from lm.errors import ConfigurationError, InputError, Interrupted, NoSpaceError, run_command
from lm.evaluation import perplexity
from lm.evaluation.perplexity import evaluate_perplexity
from lm.model import load_model, preset
from lm.shards import ShardWriter, TokenShards
from lm.storage import open_artifact, publish
from lm.token_stream import TokenStream
from lm.tokenizer import Tokenizer
from lm.training import PretrainConfig, Trainer
from lm.training import run as running
from lm.training.__main__ import _merged, _settings, main
from lm.training.checkpoint_writer import CheckpointWriter
from lm.training.live_view import LiveView
from lm.training.metrics import live_rows
from lm.training.pretrain import pretrain, silent, work_folder
from tests.lm.training.corpora import SETTINGS, arguments, make_shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("shards") / "s")


def _config(**changes):
    return from_mapping(PretrainConfig, {**SETTINGS, **changes})


def test_a_run_learns_and_its_artifact_says_so(shards, tmp_path):
    events = []
    config = _config(num_steps=150, learning_rate=1e-2, checkpoint_interval=0)
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
    first, second = (pretrain(_config(), shards.path, tmp_path / name) for name in ("a", "b"))
    assert first.digest == second.digest
    before = (first.path / "manifest.json").stat().st_mtime_ns
    events = []
    assert pretrain(_config(), shards.path, tmp_path / "a", events.append).digest == first.digest
    assert (first.path / "manifest.json").stat().st_mtime_ns == before and not events
    assert pretrain(_config(seed=1), shards.path, tmp_path / "a").digest != first.digest


def test_microbatches_give_the_same_training(shards, tmp_path):
    whole = pretrain(_config(), shards.path, tmp_path / "whole")
    split = pretrain(_config(microbatch_size=3), shards.path, tmp_path / "split")
    a, b = (load_model(artifact)[0].state_dict() for artifact in (whole, split))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4)


def test_a_run_ends_where_its_tokens_do(shards, tmp_path):
    config = _config(num_steps=0, num_tokens=1000)
    assert config.steps(32) == 8
    assert pretrain(config, shards.path, tmp_path / "m").summary["tokens"] == 1024


def test_checkpoints_and_their_work_folder_after_the_end(shards, tmp_path):
    output = tmp_path / "m"
    pretrain(_config(), shards.path, output)
    assert not (work_folder(output) / "checkpoints").exists()
    lines = (work_folder(output) / "live.jsonl").read_text().splitlines()
    assert sum("tokens_per_s" in line for line in lines) == 11


def test_tensorboard_shows_the_curves(shards, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    pretrain(_config(), shards.path, tmp_path / "m")
    (file,) = (work_folder(tmp_path / "m") / "tensorboard").iterdir()
    tags = [(event.step, value.tag) for event in EventFileLoader(str(file)).Load() for value in event.summary.value]
    assert [step for step, tag in tags if tag == "loss"] == list(range(1, 13))
    assert [step for step, tag in tags if tag == "validation_loss"] == [5, 10]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_tokens": 5}, "expected exactly one above 0"),
        ({"batch_size": 0}, "batch_size: 0, expected more than 0"),
        ({"model": {"vocab_size": 3}}, "comes from the token shards"),
        ({"learning_rat": 1.0}, "did you mean 'learning_rate'"),
        ({"final_learning_rate": 1.0}, "at most learning_rate"),
        ({"nesterov": True}, "nesterov: True, expected false unless optimizer is sgd"),
        ({"optimizer": "sgd", "decay_last": True}, "decay_last: True, expected false where optimizer is sgd"),
        ({"skip_spikes": True, "spike_threshold": 0.0}, "skip_spikes: True, expected false without spike_threshold"),
        ({"learning_rate_multipliers": {"embedding": 2}}, r"unknown key 'embedding'; did you mean 'embeddings'\?"),
        ({"learning_rate_multipliers": {"vectors": -1}}, "vectors: -1, expected a number from 0 on"),
        ({"source_weights": {"web": 0}}, "source_weights.web: 0, expected a number above 0"),
        ({"packing": "tight"}, "'tight' is none of 'stream', 'best_fit', 'padded'"),
        ({"decay_share": 0.0}, "decay_share: 0.0, expected above 0 and at most 1"),
        ({"precision": "int8"}, "'int8' is none of 'auto'"),
        ({"num_steps": -3, "num_tokens": 1_000}, "num_steps: -3, expected at least 0"),
        ({"seed": 2**64}, "expected below 2"),
        ({"num_threads": 10**11}, "expected at most 4,096"),
        ({"max_gradient_norm": math.inf}, "max_gradient_norm: inf, expected a finite number"),
        ({"source_weights": {"web": math.nan}}, "source_weights.web: nan, expected a number above 0"),
        ({"learning_rate_multipliers": {"vectors": math.inf}}, "vectors: inf, expected a number from 0 on"),
    ],
)
def test_impossible_configurations_say_why(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        _config(**changes)


def test_configuration_survives_its_mapping():
    config = _config(model={"d_model": 64})
    assert from_mapping(PretrainConfig, to_mapping(config)) == config


def test_unknown_devices_and_presets_are_named(shards, tmp_path):
    for device in ("toaster", "meta", "mps", "xpu", "cpu:x", "cuda:01", "cuda:99999999999999"):
        with pytest.raises(ConfigurationError, match=f"device: '{device}', expected auto, cpu, cuda"):
            pretrain(_config(device=device), shards.path, tmp_path / "m")
    with pytest.raises(ConfigurationError, match="of CUDA devices this machine has"):
        pretrain(_config(device="cuda:99"), shards.path, tmp_path / "m")
    with pytest.raises(ConfigurationError, match="preset: unknown key 'huge'"):
        pretrain(_config(preset="huge"), shards.path, tmp_path / "m")


def test_shards_without_text_bytes_are_refused_before_training(tmp_path):
    with publish(tmp_path / "s", kind="token_shards", config={}, inputs={}, code="x"):
        pass
    with pytest.raises(InputError, match="no text_bytes of split 'validation'"):
        pretrain(_config(), tmp_path / "s", tmp_path / "m")


def test_command_line(shards, tmp_path, capsys):
    assert main(arguments(shards.path, tmp_path / "m", **{"model.d_model": 16})) == 0
    printed = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert printed["bits_per_byte"] == open_artifact(tmp_path / "m").summary["bits_per_byte"]
    assert open_artifact(tmp_path / "m").config["model"] == {"d_model": 16}


def test_help_lists_every_field(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for name, value in to_mapping(PretrainConfig(num_steps=1)).items():
        if name != "num_steps":
            assert f"  {name}={json.dumps(value)}\n" in shown


def test_fields_from_a_file_and_inside_a_mapping(shards, tmp_path, capsys):
    file = tmp_path / "fields.json"
    file.write_text(json.dumps({**SETTINGS, "num_steps": 3}))
    command = ["--data", str(shards.path), "--out", str(tmp_path / "m"), "--config", str(file)]
    assert main([*command, "--set", "learning_rate_multipliers.embeddings=2", "--set", "model.d_model=16"]) == 0
    config = open_artifact(tmp_path / "m").config
    assert config["learning_rate_multipliers"] == {"embeddings": 2} and config["num_steps"] == 3
    with pytest.raises(ConfigurationError, match="expected NAME=VALUE"):
        main([*command, "--set", "x"])
    file.write_text("[1]")
    with pytest.raises(InputError, match=r"fields\.json: a list, expected an object"):
        main(command)


def test_without_an_output_the_model_is_named_after_its_preset(shards, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pairs = [item for name, value in {**SETTINGS, "num_steps": 1}.items() for item in ("--set", f"{name}={value}")]
    assert main(["--preset", "test", "--data", str(shards.path), *pairs]) == 0
    assert open_artifact(tmp_path / "trained" / "test").summary["steps"] == 1


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A tokenizer, and shards of two sources made by it."""
    folder = tmp_path_factory.mktemp("words")
    tokenizer = Tokenizer(
        {i: bytes([i]) for i in range(256)} | {256: b"<|endoftext|>"}, [], special_tokens=["<|endoftext|>"]
    )
    (folder / "tokenizer").mkdir()
    tokenizer.save(folder / "tokenizer")
    options = {
        "tokenizer_digest": tokenizer.digest,
        "vocab_size": tokenizer.vocab_size,
        "end_of_text_id": tokenizer.end_of_text_id,
    }
    texts = {"poems": "the rain the sea ", "letters": "dear aunt, écris-moi. "}
    with publish(folder / "s", kind="token_shards", config={}, inputs={}, code="test") as publication:
        for split in ("train", "validation"):
            with ShardWriter(publication.path, prefix=split, **options) as writer:
                for index in range(6):
                    for source, text in texts.items():
                        writer.write(f"{split}-{source}-{index}", source, tokenizer.encode(text * (index + 2)))
        publication.summary["text_bytes"] = {
            split: sum(len(text.encode()) * (index + 2) for index in range(6) for text in texts.values())
            for split in ("train", "validation")
        }
    return folder


def test_sources_are_scored_apart_and_text_is_sampled(words, tmp_path):
    events = []
    config = _config(num_steps=60, learning_rate=1e-2, evaluation_interval=20, evaluation_tokens=0, sample_interval=30)
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
        pretrain(_config(sample_interval=5), shards.path, tmp_path / "m")
    with pytest.raises(InputError, match="ids come from tokenizer tokenizer-1, not from"):
        pretrain(_config(), shards.path, tmp_path / "m", silent, words / "tokenizer")


def test_the_live_view_tells_speed_utilization_and_memory(shards, tmp_path):
    pretrain(_config(), shards.path, tmp_path / "m")
    row = [row for row in live_rows(tmp_path / "m") if "tokens_per_s" in row][-1]
    assert 0 < row["mfu_measured"] < 1 and row["seconds_left"] == 0 and row["peak_memory_bytes"] > 10**7
    assert "mfu_data_sheet" not in row


def test_spikes_are_told_and_counted(shards, tmp_path):
    events = []
    still = {"learning_rate": 1e-6, "final_learning_rate": 0.0}
    config = _config(num_steps=30, skip_spikes=True, spike_threshold=0.1, **still)
    artifact = pretrain(config, shards.path, tmp_path / "m", events.append)
    told = [event["message"] for event in events if "is a spike" in str(event.get("message"))]
    assert len(told) == artifact.summary["skipped_steps"] > 0
    assert all(message.endswith("; the update was left out") for message in told)
    assert sum(row.get("skipped") == "spike" for row in _rows(artifact)) == len(told)


def test_deterministic_kernels_are_asked_for_and_let_go(shards, tmp_path):
    seen = []

    def report(event):
        seen.append(torch.are_deterministic_algorithms_enabled())

    same = pretrain(_config(deterministic=True), shards.path, tmp_path / "m", report)
    assert all(seen) and not torch.are_deterministic_algorithms_enabled()
    other = pretrain(_config(), shards.path, tmp_path / "n")
    assert same.files["model.safetensors"] == other.files["model.safetensors"]


def test_checkpoints_of_every_mth_step_stay_after_the_end(shards, tmp_path):
    pretrain(_config(keep_every=5), shards.path, tmp_path / "m")
    work = work_folder(tmp_path / "m")
    kept = sorted(path.name for path in (work / "kept").iterdir())
    assert kept == ["step-00000005", "step-00000010"] and not (work / "checkpoints").exists()
    events = []
    other = pretrain(_config(keep_every=5, seed=1), shards.path, tmp_path / "m", events.append)
    assert other.summary["steps"] == sum("loss" in event for event in events)  # it did not go on from what was kept


def test_what_a_kill_at_the_very_end_left_is_cleared(shards, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointWriter, "clear", lambda writer: None)
        whole = pretrain(_config(), shards.path, tmp_path / "m")
    checkpoints = work_folder(tmp_path / "m") / "checkpoints"
    assert checkpoints.exists()
    assert pretrain(_config(), shards.path, tmp_path / "m").digest == whole.digest and not checkpoints.exists()


@pytest.mark.parametrize("other", [{"seed": 1}, {"keep_every": 2}])
def test_the_checkpoints_of_another_run_are_not_cleared(shards, tmp_path, other):
    """A whole artifact is asked for again while another configuration is on its way to the same place."""
    whole = pretrain(_config(), shards.path, tmp_path / "m")
    with pytest.raises(Interrupted):
        pretrain(_config(**other), shards.path, tmp_path / "m", lambda event: _stop_at(event, 3))
    checkpoints = work_folder(tmp_path / "m") / "checkpoints"
    before = sorted(checkpoints.iterdir())
    assert pretrain(_config(), shards.path, tmp_path / "m").digest == whole.digest
    assert before and sorted(checkpoints.iterdir()) == before
    next(iter(before)).joinpath("manifest.json").write_text("damaged")
    assert pretrain(_config(), shards.path, tmp_path / "m").digest == whole.digest


def _stop_at(event, step):
    if event.get("step") == step:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("when", ["last step", "evaluation"])
def test_a_signal_at_the_very_end_is_not_lost(shards, tmp_path, monkeypatch, when, number):
    config = _config(evaluation_interval=0)
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
        artifact = pretrain(_config(), shards.path, tmp_path / "m")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] and open_artifact(tmp_path / "m").digest == artifact.digest


def test_the_live_view_of_a_resumed_run_has_each_step_once(shards, tmp_path):
    with pytest.raises(Interrupted):
        pretrain(_config(), shards.path, tmp_path / "m", lambda event: _stop_at(event, 5))
    path = work_folder(tmp_path / "m") / "live.jsonl"
    path.write_text(path.read_text() + '{"step": 7, "lo')  # a kill in the middle of a line
    pretrain(_config(), shards.path, tmp_path / "m")
    rows = [row for row in live_rows(tmp_path / "m") if "loss" in row]
    assert [row["step"] for row in rows] == list(range(1, len(rows) + 1)) and len(rows) > 6
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds) and seconds[0] > 0
    pretrain(_config(seed=1), shards.path, tmp_path / "m")
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
    pretrain(_config(num_steps=4, warmup_steps=9), shards.path, tmp_path / "m", events.append)
    assert "warmup_steps 9 of a run of 4 steps: the learning rate does not get to" in events[0]["message"]


def test_fields_of_a_file_stay_beside_those_of_the_command_line(tmp_path):
    file = {"model": {"num_layers": 1, "d_model": 32}, "seed": 3}
    given = _settings(["model.d_model=16", "num_steps=2"])
    assert _merged(file, given) == {"model": {"num_layers": 1, "d_model": 16}, "seed": 3, "num_steps": 2}
    for pairs in (["model=3", "model.d_model=16"], ["learning_rate=1", "learning_rate.x=2"]):
        with pytest.raises(ConfigurationError, match="expected a mapping beside"):
            _settings(pairs)
    with pytest.raises(ConfigurationError, match="model: 3, expected a mapping beside"):
        _merged({"model": 3}, given)


def test_an_output_that_is_a_file_is_one_line(shards, tmp_path, capsys):
    (tmp_path / "m").write_text("in the way")
    with pytest.raises(SystemExit) as ended:
        run_command(main, ["--data", str(shards.path), "--out", str(tmp_path / "m"), "--preset", "test"])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.startswith("error: ") and told.count("\n") == 1 and "/m" in told


def test_one_pass_over_the_data_is_over_what_is_read(words, tmp_path, capsys):
    given = ["--data", str(words / "s"), "--preset", "test", "--set", "device=cpu", "--set", "source_weights.poems=1"]
    main([*given, "--out", str(tmp_path / "m")])
    size = len(TokenStream(TokenShards.open(open_artifact(words / "s"), "train"), "poems"))
    config = open_artifact(tmp_path / "m").config
    assert config["num_tokens"] == size
