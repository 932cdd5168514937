import json
import math

import pytest
import torch

from lm.configuration import from_mapping, to_mapping
from lm.errors import ConfigurationError, InputError
from lm.evaluation.perplexity import evaluate_perplexity
from lm.model import load_model
from lm.shards import ShardWriter
from lm.storage import open_artifact, publish
from lm.tokenizer import Tokenizer
from lm.training import PretrainConfig
from lm.training.__main__ import main
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
    kept = sorted(path.name for path in (work_folder(tmp_path / "m") / "checkpoints").iterdir())
    assert kept == ["step-00000005", "step-00000010"]
