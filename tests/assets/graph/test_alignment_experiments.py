"""The reward model and PPO as assets, on the models of the tiny run."""

import shutil

import dagster as dg
import pytest

from assets.graph.alignment_experiments import ppo_raises_the_verified_rate, reward_model_ranks_pairs
from assets.support.resources import LoamHome
from tests.assets import runs

SMALL = {
    "reward_model": {"num_steps": 2, "batch_size": 4, "num_threads": 1},
    "ppo_model": {
        "num_steps": 2, "batch_size": 2, "group_size": 2, "max_new_tokens": 8, "evaluation_problems": 4,
        "replay_windows": 1, "num_threads": 1, "patience": 3,
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
