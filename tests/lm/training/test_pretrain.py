import json

import pytest
import torch

from lm.configuration import from_mapping, to_mapping
from lm.errors import ConfigurationError, InputError
from lm.evaluation.perplexity import evaluate_perplexity
from lm.model import load_model
from lm.storage import open_artifact, publish
from lm.training import PretrainConfig
from lm.training.__main__ import main
from lm.training.pretrain import pretrain, work_folder
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
    ],
)
def test_impossible_configurations_say_why(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        _config(**changes)


def test_configuration_survives_its_mapping():
    config = _config(model={"d_model": 64})
    assert from_mapping(PretrainConfig, to_mapping(config)) == config


def test_unknown_devices_and_presets_are_named(shards, tmp_path):
    with pytest.raises(ConfigurationError, match="expected auto, cpu, cuda"):
        pretrain(_config(device="toaster"), shards.path, tmp_path / "m")
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
