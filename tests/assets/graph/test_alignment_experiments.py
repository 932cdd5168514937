"""The reward model, PPO, rejection sampling and expert iteration as assets, on the models of the tiny run."""

import json
import shutil

import dagster as dg
import pytest

from assets.graph.alignment_experiments import (
    expert_iteration_raises_the_verified_rate,
    ppo_raises_the_verified_rate,
    rejection_samples_are_right,
    reward_model_ranks_pairs,
)
from assets.support.resources import LoamHome
from lm.alignment.config import SFTConfig
from lm.alignment.data import publish_alignment_data
from lm.alignment.sft import train_sft
from tests.assets import runs

SMALL = {
    "reward_model": {"num_steps": 2, "batch_size": 4, "num_threads": 1},
    "ppo_model": {
        "num_steps": 2, "batch_size": 2, "group_size": 2, "max_new_tokens": 8, "evaluation_problems": 4,
        "replay_windows": 1, "num_threads": 1, "patience": 0,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tiny_run, tiny_home, tmp_path_factory):
    """The result of both assets, and their home."""
    home = tmp_path_factory.mktemp("experiments") / "home"
    for name in ("sft_model", "tokenizer", "preference_pairs", "alignment_data", "token_shards"):
        shutil.copytree(tiny_home / "artifacts" / name, home / "artifacts" / name)
    with dg.DagsterInstance.ephemeral() as instance:
        return runs.materialize(instance, home, list(SMALL), config=SMALL), home


def test_both_are_published_from_the_sft_model_with_their_curves(made):
    result, home = made
    shown = runs.materializations(result)
    sft = runs.artifact(home, "sft_model").digest
    for name, chart in (("reward_model", "accuracy_curve"), ("ppo_model", "verified_rate_curve")):
        artifact = runs.artifact(home, name)
        assert artifact.kind == name and artifact.inputs["model"] == sft
        assert chart in shown[name].materialization.metadata, name
    assert "shards" in runs.artifact(home, "ppo_model").inputs


@pytest.mark.parametrize("check", [reward_model_ranks_pairs, ppo_raises_the_verified_rate])
def test_each_check_reads_what_was_made(made, check):
    found = check(home=LoamHome(path=str(made[1])))
    assert found.description and "\n" not in found.description
    assert found.passed or found.severity == dg.AssetCheckSeverity.WARN


OWN = {
    "rejection_samples": {"num_problems": 4, "num_samples": 4, "max_new_tokens": 8, "num_threads": 1},
    "expert_model": {
        "num_rounds": 2, "num_steps": 2, "batch_size": 4, "num_problems": 4, "num_samples": 8, "max_new_tokens": 8,
        "evaluation_problems": 4, "replay_windows": 1, "learning_rate": 1e-5, "num_threads": 1,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def sampled(tiny_run, tiny_home, tmp_path_factory):
    """The result of both assets of own right answers, and their home; its SFT model says the one answer there is."""
    home = tmp_path_factory.mktemp("own_answers") / "home"
    for name in ("tokenizer", "token_shards"):
        shutil.copytree(tiny_home / "artifacts" / name, home / "artifacts" / name)
    data = home.with_name("data")
    data.mkdir()
    ids = [("train", number) for number in range(6)] + [("heldout", number) for number in range(6, 10)]
    shared = [{"id": f"{split}-{n}", "split": split, "prompt": f"{n} + {9 - n} is what?"} for split, n in ids]
    sides = {
        "instructions": {"response": "#### 9"},
        "problems": {"answer": 9},
        "preferences": {"chosen": "#### 9", "rejected": "#### 8"},
    }
    for name, rest in sides.items():
        (data / f"{name}.jsonl").write_text("".join(json.dumps({**row, **rest}) + "\n" for row in shared))
    target = LoamHome(path=str(home)).target
    publish_alignment_data({f"{name}.jsonl": data / f"{name}.jsonl" for name in sides}, target("alignment_data"))
    train_sft(
        SFTConfig(
            num_steps=60, warmup_steps=2, batch_size=8, max_new_tokens=8, evaluation_problems=4, num_threads=1,
            device="cpu", optimizer="adamw", learning_rate=1e-2,
        ),
        model=tiny_home / "artifacts" / "pretrained_model",
        tokenizer=target("tokenizer"),
        instructions=data / "instructions.jsonl",
        output=target("sft_model"),
    )  # fmt: skip
    with dg.DagsterInstance.ephemeral() as instance:
        return runs.materialize(instance, home, list(OWN), config=OWN), home


def test_own_right_answers_are_published_from_the_sft_model_with_their_charts(sampled):
    result, home = sampled
    shown = runs.materializations(result)
    sft = runs.artifact(home, "sft_model").digest
    charts = {"rejection_samples": {"accounts", "kept"}, "expert_model": {"pass_rate", "pass_rate_curve", "each_round"}}
    for name, expected in charts.items():
        artifact = runs.artifact(home, name)
        assert artifact.kind == name and artifact.inputs["model"] == sft
        assert expected <= shown[name].materialization.metadata.keys(), name
    assert runs.artifact(home, "rejection_samples").summary["num_kept"] >= 4
    assert len(runs.artifact(home, "expert_model").summary["rounds"]) == 2
    found = rejection_samples_are_right(home=LoamHome(path=str(home)))
    assert found.passed, found.description
    gain = expert_iteration_raises_the_verified_rate(home=LoamHome(path=str(home)))
    assert gain.description and "\n" not in gain.description and gain.severity == dg.AssetCheckSeverity.WARN
