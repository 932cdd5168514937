"""`python -m lm.training`: its fields, its defaults, and its mistakes in one line."""

import json

import pytest

from lm.configuration import to_mapping
from lm.errors import ConfigurationError, InputError, run_command
from lm.shards import TokenShards
from lm.storage import open_artifact
from lm.token_stream import TokenStream
from lm.training import PretrainConfig
from lm.training.__main__ import _merged, _settings, main
from lm.training.recipes import RECIPES
from tests.lm.training.corpora import SETTINGS, arguments


def test_command_line(shards, tmp_path, capsys):
    assert main(arguments(shards.path, tmp_path / "m", **{"model.d_model": 16})) == 0
    printed = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert printed["bits_per_byte"] == open_artifact(tmp_path / "m").summary["bits_per_byte"]
    assert open_artifact(tmp_path / "m").config["model"] == {"d_model": 16}


def test_help_lists_every_field(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    recipe = RECIPES["tiny_cpu"].settings(256)
    for name, value in to_mapping(PretrainConfig(num_steps=1)).items():
        if name != "num_steps":
            assert f"  {name}={'(the preset' if name in recipe else json.dumps(value)}" in shown


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
