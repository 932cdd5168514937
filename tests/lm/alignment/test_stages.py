"""The stages from artifact to artifact: they learn, repeat byte for byte, stop when told, and name what is wrong."""

import importlib.util
import json
import os
import signal
from dataclasses import replace

import pytest
import torch

pytest.importorskip("safetensors")
pytest.importorskip("lm.tokenizer")

from lm.alignment.config import DPOConfig, GRPOConfig, PPOConfig, SFTConfig
from lm.alignment.dpo import train_dpo
from lm.alignment.grpo import train_grpo
from lm.alignment.ppo import train_ppo
from lm.alignment.sft import train_sft
from lm.errors import ConfigurationError, InputError, Interrupted
from lm.model import TransformerLM, load_model, preset, save_model
from lm.storage import publish
from lm.tokenizer import Tokenizer, train_bpe
from tests.lm.alignment.conftest import SPECIAL_TOKENS, shows_metrics, write_lines

SMALL = {"optimizer": "adamw", "max_new_tokens": 12, "num_threads": 1, "device": "cpu"}
SFT = SFTConfig(num_steps=40, batch_size=16, learning_rate=5e-3, **SMALL)
FILES = {"model.safetensors", "model.json", "metrics.jsonl", "evaluation.json", "samples.jsonl"}


def read_lines(artifact, name):
    return [json.loads(line) for line in artifact.file(name).read_text().splitlines()]


def evaluation(artifact):
    return json.loads(artifact.file("evaluation.json").read_text())


def places(start, output, **changed):
    return {"model": start / "model", "tokenizer": start / "tokenizer", "output": output, **changed}


@pytest.fixture(scope="module")
def tuned(start, tmp_path_factory):
    """The SFT artifact that the later stages start from, and the events it reported."""
    events = []
    output = tmp_path_factory.mktemp("sft") / "sft"
    artifact = train_sft(
        SFT,
        **places(start, output),
        instructions=start / "instructions.jsonl",
        report=lambda event: events.append(dict(event)),
    )
    return artifact, events


def test_sft_teaches_the_form(tuned):
    artifact, events = tuned
    assert set(artifact.names()) == FILES
    figures = evaluation(artifact)
    assert figures["loss"]["after"] < 0.3 * figures["loss"]["before"]
    assert figures["token_accuracy"]["before"] < 0.3 and figures["token_accuracy"]["after"] > 0.7
    assert figures["greedy"]["well_formed_rate"] >= 0.9
    assert figures["num_train_examples"] == 16
    assert [event["step"] for event in events] == list(range(1, 41))
    assert read_lines(artifact, "metrics.jsonl") == events
    sample = read_lines(artifact, "samples.jsonl")[0]
    verdict = {"id", "prompt", "expected", "response", "answer", "well_formed", "verified"}
    assert sample.keys() == verdict | {"reward", "entropy", "num_tokens"}
    counts = [figures["generations"][name]["num_answers"] for name in ("right", "wrong")]
    assert sum(counts) == len(read_lines(artifact, "samples.jsonl")) == figures["greedy"]["num_responses"]
    assert counts[0] == round(figures["greedy"]["verified_rate"] * sum(counts))
    assert artifact.summary["greedy"] == figures["greedy"]


def test_replay_needs_shards(start, tmp_path):
    with pytest.raises(ConfigurationError, match="replay_windows: 2 without token shards"):
        train_sft(
            replace(SFT, replay_windows=2), **places(start, tmp_path / "sft"), instructions=start / "instructions.jsonl"
        )


def test_a_grpo_run_without_any_reward_says_so(start, tmp_path):
    config = GRPOConfig(num_steps=5, batch_size=4, group_size=2, patience=2, learning_rate=1e-4, **SMALL)
    with pytest.raises(InputError, match="no response earned a reward in the first 2 steps of 8 responses"):
        train_grpo(config, **places(start, tmp_path / "grpo"), problems=start / "problems.jsonl")
    assert not (tmp_path / "grpo" / "manifest.json").exists()


def test_a_ppo_run_without_any_reward_says_so(start, tmp_path):
    config = PPOConfig(num_steps=5, batch_size=4, group_size=2, patience=2, learning_rate=1e-4, **SMALL)
    with pytest.raises(InputError, match="no response earned a reward in the first 2 steps of 8 responses"):
        train_ppo(config, **places(start, tmp_path / "ppo"), problems=start / "problems.jsonl")
    assert not (tmp_path / "ppo" / "manifest.json").exists()


@pytest.mark.parametrize(("train", "kind"), [(train_grpo, GRPOConfig), (train_ppo, PPOConfig)])
def test_a_run_shorter_than_its_patience_fails_without_a_reward_unless_it_may(start, tmp_path, train, kind):
    config = kind(num_steps=2, batch_size=2, group_size=2, learning_rate=1e-4, evaluation_problems=2, **SMALL)
    paths = {**places(start, tmp_path / "m"), "problems": start / "problems.jsonl"}
    with pytest.raises(InputError, match="no response earned a reward in the first 2 steps of 4 responses"):
        train(config, **paths)
    assert not (tmp_path / "m" / "manifest.json").exists()
    rows = read_lines(train(replace(config, patience=0), **paths), "metrics.jsonl")
    assert [row["reward"] for row in rows] == [0.0, 0.0]


def test_updates_of_all_epochs_are_made_and_logged(start, tuned, tmp_path):
    """The policy that drew is that of the first update alone; later epochs move away from it."""
    settings = {"num_steps": 2, "batch_size": 4, "group_size": 4, "learning_rate": 1e-3, "warmup_steps": 0, **SMALL}
    paths = {**places(start, tmp_path / "m", model=tuned[0].path), "problems": start / "problems.jsonl"}
    config = GRPOConfig(**settings, epochs=3, updates_per_rollout=2, evaluation_problems=2)
    assert config.num_updates == 12
    rows = [row for row in read_lines(train_grpo(config, **paths), "metrics.jsonl") if "sampler_gap" in row]
    assert rows, "a first update must have a signal"
    for row in rows:
        assert row["sampler_gap"] < 1e-4 < row["log_prob_gap"]


@pytest.mark.parametrize(("train", "kind"), [(train_grpo, GRPOConfig), (train_ppo, PPOConfig)])
def test_a_diverging_run_of_samples_stops(start, tuned, tmp_path, train, kind):
    from lm.errors import LoamError

    config = kind(
        num_steps=9, batch_size=8, group_size=8, learning_rate=1e30, warmup_steps=0, evaluation_problems=2, **SMALL
    )
    paths = {**places(start, tmp_path / "m", model=tuned[0].path), "problems": start / "problems.jsonl"}
    with pytest.raises(LoamError, match=r"finite|nan"):
        train(config, **paths)
    assert not (tmp_path / "m" / "manifest.json").exists()


def test_the_same_work_gives_the_same_bytes_and_is_not_done_twice(start, tuned, tmp_path):
    artifact, _ = tuned
    arguments = places(start, tmp_path / "again") | {"instructions": start / "instructions.jsonl"}
    again = train_sft(SFT, **arguments)
    assert again.files == artifact.files
    assert again.digest == artifact.digest
    events = []
    assert train_sft(SFT, **arguments, report=events.append).digest == artifact.digest
    assert events == []


def test_dpo_learns_to_prefer_and_keeps_the_form(start, tuned, tmp_path):
    sft, _ = tuned
    config = DPOConfig(num_steps=15, batch_size=16, learning_rate=5e-4, **SMALL)
    artifact = train_dpo(
        config, **places(start, tmp_path / "dpo", model=sft.path), preferences=start / "preferences.jsonl"
    )
    figures = evaluation(artifact)
    assert set(artifact.names()) == FILES
    assert figures["preference"]["before"]["reward_accuracy"] == 0.5
    assert figures["preference"]["before"]["reward_margin"] == 0.0
    assert figures["preference"]["after"]["reward_accuracy"] >= 0.9
    assert figures["preference"]["after"]["reward_margin"] > 1.0 and figures["preference"]["after"]["kl"] > 0.0
    assert figures["greedy"]["well_formed_rate"] >= 0.9
    losses = [row["dpo_loss"] for row in read_lines(artifact, "metrics.jsonl")]
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)
    assert losses[-1] < losses[0]


def test_dpo_stops_where_the_pairs_are_told_apart(start, tuned, tmp_path):
    config = DPOConfig(num_steps=40, batch_size=16, learning_rate=5e-3, saturation=0.5, **SMALL)
    artifact = train_dpo(
        config, **places(start, tmp_path / "dpo", model=tuned[0].path), preferences=start / "preferences.jsonl"
    )
    losses = [row["dpo_loss"] for row in read_lines(artifact, "metrics.jsonl")]
    assert 10 <= len(losses) < 40
    assert sum(losses[-10:]) / 10 < 0.5 and (len(losses) == 10 or sum(losses[-11:-1]) / 10 >= 0.5)


@pytest.mark.parametrize(("kl_weight", "updates_per_rollout"), [(0.0, 1), (0.01, 2)])
def test_grpo_raises_the_verified_answer_rate(start, weak, tmp_path, kl_weight, updates_per_rollout):
    config = GRPOConfig(
        num_steps=12,
        batch_size=16,
        group_size=32,
        learning_rate=2e-3,
        microbatch_size=200,
        format_reward=0.0,
        kl_weight=kl_weight,
        updates_per_rollout=updates_per_rollout,
        **SMALL,
    )
    artifact = train_grpo(
        config, **places(start, tmp_path / "grpo", model=weak.path), problems=start / "problems.jsonl"
    )
    assert set(artifact.names()) == FILES
    rows = read_lines(artifact, "metrics.jsonl")
    assert len(rows) == 12
    assert rows[-1]["verified_rate"] >= rows[0]["verified_rate"] + 0.15
    assert rows[-1]["well_formed_rate"] >= rows[0]["well_formed_rate"]
    figures = evaluation(artifact)
    assert figures["greedy"]["well_formed_rate"] == 1.0
    assert figures["before"].keys() == {"greedy", "sampled"}


def test_the_model_speaks_the_tokenizer_it_was_given(start, tuned):
    artifact, _ = tuned
    model, digest = load_model(artifact)
    assert digest == Tokenizer.load(start / "tokenizer").digest
    assert model.num_parameters > 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_a_stage_at_a_step(start, tmp_path, number, code):
    def kill_in_step_3(event):
        if event["step"] == 3:
            os.kill(os.getpid(), number)

    with pytest.raises(
        Interrupted, match=f"stopped by {number.name} after step 3; nothing was published, run again"
    ) as caught:
        train_sft(
            SFT, **places(start, tmp_path / "sft"), instructions=start / "instructions.jsonl", report=kill_in_step_3
        )
    assert caught.value.exit_code == code
    assert [path.name for path in (tmp_path / "sft").iterdir()] == [".lock"]


BEST = {"evaluate_every": 1, "keep_best": True, "validation_problems": 6}
UPDATES = {"kl_weight": 0.1, "updates_per_rollout": 2, "epochs": 2, "curriculum": "pass_rate"}
DRAWS = {"group_size": 4, "signal_floor": 0.75, "most_draws": 3}
STAGES = {
    "sft": (train_sft, SFTConfig, "instructions", {}),
    "sft, noisy": (train_sft, SFTConfig, "instructions", {"neftune_alpha": 5.0}),
    "dpo": (train_dpo, DPOConfig, "preferences", {}),
    "grpo": (train_grpo, GRPOConfig, "problems", {**DRAWS, **BEST, **UPDATES}),
    "ppo": (train_ppo, PPOConfig, "problems", {**BEST, "kl_target": 0.1, "kl_horizon": 20}),
}


def test_adapters_that_were_stopped_go_on_to_the_same_bytes(start, tuned, tmp_path):
    settings = {"num_steps": 4, "batch_size": 4, "evaluation_problems": 4, "lora_rank": 4}
    given = {**places(start, tmp_path / "sft", model=tuned[0].path), "instructions": start / "instructions.jsonl"}

    def stop(event):
        if event.get("step") == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train_sft(SFTConfig(**SMALL, **settings), **given, report=stop)
    resumed = train_sft(SFTConfig(**SMALL, **settings), **given)
    whole = train_sft(SFTConfig(**SMALL, **settings), **{**given, "output": tmp_path / "whole"})
    assert resumed.files == whole.files


@pytest.mark.fault(28)
@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_was_stopped_goes_on_to_the_same_bytes(start, tuned, shards, tmp_path, stage, optimizer):
    train, kind, data, settings = STAGES[stage]
    small = {**SMALL, "num_steps": 5, "batch_size": 4, "warmup_steps": 1, "evaluation_problems": 4}
    config = kind(**{**small, "optimizer": optimizer, "learning_rate": 1e-3, "replay_windows": 2, **settings})
    given = {"model": tuned[0].path, "tokenizer": start / "tokenizer", "shards": shards}
    given[data] = start / f"{data}.jsonl"
    whole = train(config, **given, output=tmp_path / "whole")

    def stop_after(steps):
        def report(event):
            if event["step"] in steps:
                os.kill(os.getpid(), signal.SIGTERM)

        return report

    for steps in ((2,), (4,)):  # stopped twice
        with pytest.raises(Interrupted):
            train(config, **given, output=tmp_path / "stopped", report=stop_after(steps))
    events = []
    resumed = train(config, **given, output=tmp_path / "stopped", report=events.append)
    assert [event["step"] for event in events] == [5]
    assert resumed.files == whole.files and resumed.digest == whole.digest
    assert [row["step"] for row in read_lines(whole, "metrics.jsonl")] == [1, 2, 3, 4, 5]
    assert "replay_loss" in read_lines(whole, "metrics.jsonl")[0]
    assert not (tmp_path / "stopped.work" / "stage").exists()
    if importlib.util.find_spec("tensorboard"):
        assert len(list((tmp_path / "stopped.work" / "tensorboard").iterdir())) == 3  # one file a start
        assert all(shows_metrics(tmp_path / name, read_lines(whole, "metrics.jsonl")) for name in ("whole", "stopped"))


def test_a_stage_with_other_settings_begins_anew(start, tuned, tmp_path):
    given = {"model": tuned[0].path, "tokenizer": start / "tokenizer", "instructions": start / "instructions.jsonl"}
    small = {**SMALL, "batch_size": 4, "num_steps": 3, "evaluation_problems": 4}

    def stop(event):
        if "step" in event:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        train_sft(SFTConfig(**small), **given, output=tmp_path / "sft", report=stop)
    assert list((tmp_path / "sft.work" / "stage").glob("v-*/state.json"))
    events = []
    train_sft(SFTConfig(**small, seed=1), **given, output=tmp_path / "sft", report=events.append)
    assert [event["step"] for event in events if "step" in event] == [1, 2, 3]


def test_another_tokenizers_model_is_refused(start, tmp_path):
    other = train_bpe(["some other text"], 270, SPECIAL_TOKENS)
    with publish(tmp_path / "other", kind="tokenizer", config={}, inputs={}, code="test") as publication:
        other.save(publication.path)
    with pytest.raises(InputError, match=f"expected {other.digest}"):
        train_sft(
            SFT,
            **places(start, tmp_path / "sft", tokenizer=tmp_path / "other"),
            instructions=start / "instructions.jsonl",
        )


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"id": "long", "prompt": "qwertzuiop" * 5, "response": "#### 1", "split": "train"},
            "id 'long' is .* tokens, expected at most 49",
        ),
        ({"id": "x", "prompt": "1", "response": "no answer", "split": "heldout"}, "no record has split 'train'"),
        ({"id": "x", "prompt": "1", "split": "train"}, "instructions.jsonl:1: field 'response' is missing"),
    ],
)
def test_bad_instructions_are_named_before_anything_is_published(start, tmp_path, row, message):
    rows = [row]
    if row["id"] == "long":
        rows.append({"id": "held", "prompt": "1", "response": "#### 1", "split": "heldout"})
    path = write_lines(tmp_path / "instructions.jsonl", rows)
    with pytest.raises(InputError, match=message):
        train_sft(SFT, **places(start, tmp_path / "sft"), instructions=path)
    assert not (tmp_path / "sft" / "manifest.json").exists()


def test_missing_data_is_named(start, tmp_path):
    with pytest.raises(InputError, match=r"absent.jsonl: no such file"):
        train_grpo(GRPOConfig(**SMALL), **places(start, tmp_path / "out"), problems=tmp_path / "absent.jsonl")


def test_equal_sides_of_a_pair_are_named(start, tmp_path):
    row = {"prompt": "1", "chosen": "same", "rejected": "same"}
    path = write_lines(
        tmp_path / "p.jsonl", [{**row, "id": "a", "split": "train"}, {**row, "id": "b", "split": "heldout"}]
    )
    with pytest.raises(InputError, match="id 'a' has the same text in 'chosen' and 'rejected'"):
        train_dpo(DPOConfig(**SMALL), **places(start, tmp_path / "out"), preferences=path)


def test_a_diverging_stage_stops_before_the_update(start, tmp_path):
    from lm.training.trainer import NonFiniteError

    config = SFTConfig(num_steps=40, batch_size=16, learning_rate=1e30, warmup_steps=0, **SMALL)
    with pytest.raises(NonFiniteError, match=r"step \d+: "):
        train_sft(config, **places(start, tmp_path / "sft"), instructions=start / "instructions.jsonl")
    assert not (tmp_path / "sft" / "manifest.json").exists()


@pytest.mark.parametrize("stage", ["sft", "dpo", "grpo"])
def test_the_balancing_term_reaches_the_router(start, tmp_path, stage):
    tokenizer = Tokenizer.load(start / "tokenizer")
    routers = []
    for weight in (0.0, 10.0):
        torch.manual_seed(0)
        shape = {"vocab_size": tokenizer.vocab_size, "context_length": 48, "num_experts": 4, "d_ff": 32}
        model = TransformerLM(preset("test", **shape, balance_weight=weight))
        source = tmp_path / f"model-{weight:g}"
        with publish(source, kind="pretrained_model", config={}, inputs={}, code="test") as publication:
            save_model(publication.path, model, tokenizer.digest)
        paths = {**places(start, tmp_path / f"{stage}-{weight:g}"), "model": source}
        small = {**SMALL, "num_steps": 1, "batch_size": 4, "evaluation_problems": 1, "learning_rate": 1e-2}
        if stage == "sft":
            artifact = train_sft(SFTConfig(**small), **paths, instructions=start / "instructions.jsonl")
        elif stage == "dpo":
            artifact = train_dpo(DPOConfig(**small), **paths, preferences=start / "preferences.jsonl")
        else:
            config = GRPOConfig(**small, kl_weight=1.0, format_reward=0.5, patience=0)
            artifact = train_grpo(config, **paths, problems=start / "problems.jsonl")
        routers.append(load_model(artifact)[0].layers[0].ffn.router.weight)
    assert not torch.equal(*routers)
