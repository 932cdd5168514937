"""A run that begins where another one stands: its weights, its optimizer, or its whole state."""

import json

import pytest
import torch

from lm.errors import ConfigurationError, InputError, Interrupted
from lm.model import load_model
from lm.model.files import load_tensors
from lm.storage import open_artifact
from lm.training.checkpoint import MOMENTS, STATE, WEIGHTS
from lm.training.config import PretrainConfig
from lm.training.pretrain import pretrain, work_folder
from lm.training.schedule import scheduled_rate
from tests.lm.training.corpora import config_of, make_shards, stop_at

WSD = {"schedule": "wsd", "decay_share": 0.5, "warmup_steps": 2}


def rates(artifact):
    rows = [json.loads(line) for line in artifact.file("metrics.jsonl").read_text().splitlines()]
    return [row["learning_rate"] for row in rows if "loss" in row]


@pytest.fixture(scope="module")
def trunk(shards, tmp_path_factory):
    """A finished wsd run of 12 steps, and the checkpoint of its last flat step."""
    output = tmp_path_factory.mktemp("trunk") / "m"
    artifact = pretrain(config_of(**WSD), shards.path, output)
    (kept,) = (work_folder(output) / "kept").iterdir()
    assert kept.name == "step-00000006"
    return artifact, kept


@pytest.mark.parametrize("longer", [{"num_steps": 20}, {"num_steps": 0, "num_tokens": 20 * 4 * 32}])
def test_an_interrupted_wsd_run_goes_on_to_another_length_as_if_it_had_never_been_shorter(shards, tmp_path, longer):
    with pytest.raises(Interrupted):
        pretrain(config_of(**WSD), shards.path, tmp_path / "m", lambda event: stop_at(event, 5))
    continued = pretrain(config_of(**{**WSD, **longer}), shards.path, tmp_path / "m")
    straight = pretrain(config_of(**{**WSD, **longer}), shards.path, tmp_path / "straight")
    assert continued.files == straight.files and continued.summary["steps"] == 20


def test_a_finished_wsd_run_is_continued_from_its_flat_part(shards, trunk, tmp_path):
    longer = {**WSD, "num_steps": 20, "decay_share": 0.25}
    config = config_of(**longer, init_from=str(trunk[1]), init_state="run")
    continued = pretrain(config, shards.path, tmp_path / "m")
    straight = pretrain(config_of(**longer), shards.path, tmp_path / "straight")
    assert continued.files == straight.files
    assert (
        rates(continued)[:6] == rates(trunk[0])[:6]
        and rates(continued)[14] == rates(continued)[2] > rates(continued)[15]
    )


def test_what_would_have_changed_a_step_so_far_is_refused(shards, trunk, tmp_path):
    for name, value in (("learning_rate", 1e-3), ("num_steps", 7), ("schedule", "cosine"), ("seed", 1)):
        config = config_of(**{**WSD, name: value}, init_from=str(trunk[1]), init_state="run")
        with pytest.raises(ConfigurationError, match=f"checkpoint of another run: {name} was"):
            pretrain(config, shards.path, tmp_path / "m")
    with pytest.raises(Interrupted):
        pretrain(config_of(**WSD), shards.path, tmp_path / "late", lambda event: stop_at(event, 9))
    with pytest.raises(ConfigurationError, match="num_steps was 12, is 20"):
        pretrain(config_of(**WSD, num_steps=20), shards.path, tmp_path / "late")


def test_weights_start_another_run_on_other_data(shards, trunk, tmp_path):
    other = make_shards(tmp_path / "s", seed=5)
    first = []
    for name, start in (("weights", trunk[0].path), ("checkpoint", trunk[1]), ("nothing", "")):
        config = config_of(num_steps=2, learning_rate=1e-9, init_from=str(start))
        made = pretrain(config, other.path, tmp_path / name)
        first.append(made.summary["first_loss"])
        assert made.config["init_from"] == (open_artifact(start).digest if start else "")
    weights, checkpoint, nothing = first
    assert len({weights, checkpoint, nothing}) == 3 and weights < nothing
    loaded = load_model(open_artifact(tmp_path / "weights"))[0].state_dict()
    for name, tensor in load_model(trunk[0])[0].state_dict().items():
        torch.testing.assert_close(loaded[name], tensor, rtol=0, atol=1e-6)


def test_the_optimizer_comes_along_under_the_new_runs_settings(shards, trunk, tmp_path):
    config = config_of(num_steps=1, learning_rate=1e-9, warmup_steps=0, weight_decay=0.0, keep_every=1,
                       init_from=str(trunk[1]), init_state="optimizer")  # fmt: skip
    pretrain(config, shards.path, tmp_path / "m")
    after = open_artifact(work_folder(tmp_path / "m") / "kept" / "step-00000001")
    state = json.loads(after.file(STATE).read_bytes())
    before = open_artifact(trunk[1])
    moments, old = load_tensors(after.file(MOMENTS)), load_tensors(before.file(MOMENTS))
    name = "layers.0.attn.q_proj.weight/exp_avg_sq"
    assert moments.keys() == old.keys()
    assert (moments[name] / old[name]).median() == pytest.approx(0.95, abs=0.1)  # decayed by one step of β₂
    assert state["optimizer"]["numbers"][name.replace("exp_avg_sq", "step")] == 7
    assert {group["weight_decay"] for group in state["optimizer"]["groups"]} == {0.0}
    assert load_tensors(after.file(WEIGHTS)).keys() == load_tensors(before.file(WEIGHTS)).keys()


def test_a_start_that_does_not_fit_is_refused(shards, trunk, tmp_path):
    with pytest.raises(ConfigurationError, match="init_state: run, expected weights without init_from"):
        config_of(init_state="run")
    with pytest.raises(InputError, match="a pretrained_model, expected a checkpoint for init_state = optimizer"):
        pretrain(config_of(init_from=str(trunk[0].path), init_state="optimizer"), shards.path, tmp_path / "m")
    with pytest.raises(InputError, match=r"a token_shards without model\.json"):
        pretrain(config_of(init_from=str(shards.path)), shards.path, tmp_path / "m")
    other = make_shards(tmp_path / "s", digest="tokenizer-2")
    for start in (trunk[0].path, trunk[1]):
        with pytest.raises(InputError, match="trained on tokenizer tokenizer-1, expected tokenizer-2"):
            pretrain(config_of(init_from=str(start)), other.path, tmp_path / "m")
        with pytest.raises(InputError, match=r"the model has no 'layers\.1"):
            pretrain(config_of(init_from=str(start), model={"num_layers": 1}), shards.path, tmp_path / "m")


@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd"])
def test_a_rate_ends_at_its_fraction(schedule):
    config = PretrainConfig(num_steps=50, schedule=schedule, learning_rate=2.0, final_lr_fraction=0.25, warmup_steps=5)
    found = [scheduled_rate(config, step, 50) for step in range(1, 51)]
    assert max(found) == found[4] == 2.0 and found[-1] == 0.5
