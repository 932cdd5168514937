"""Alignment outside of the demo's chain: a reward model of the pairs, and PPO where the chain has GRPO."""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets.graph.alignment import alignment_data, data_of, preference_pairs, sft_model, tune
from assets.graph.pretraining import inline_curve, metrics
from assets.graph.tokens import token_shards, tokenizer
from assets.support.checks import WARN, figures
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.processes import run_training
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, result
from lm.alignment.config import PPOConfig, RewardModelConfig
from lm.alignment.data import PREFERENCES, PROBLEMS

MIN_ACCURACY = 0.8


@dg.asset(
    group_name="experiments",
    deps=[sft_model, tokenizer, preference_pairs],
    config_schema=schema_of("reward_model", RewardModelConfig),
    pool="gpu",
)
@explained
def reward_model(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """A Bradley–Terry reward model of the preference pairs, from the SFT model."""
    watch = Stopwatch()
    paths = {
        "model": home.target("sft_model"),
        "tokenizer": home.target("tokenizer"),
        "preferences": home.artifact("preference_pairs").file(PREFERENCES),
        "output": home.target("reward_model"),
    }
    run_training(context, pipes, "reward", config_of(context, RewardModelConfig), paths)
    artifact = home.artifact("reward_model")
    rows = metrics(artifact)
    curves = {f"{name}_curve": inline_curve(rows, name) for name in ("loss", "accuracy")}
    return result(artifact, watch, curves)


@dg.asset(
    group_name="experiments",
    deps=[sft_model, tokenizer, alignment_data, token_shards],
    config_schema=schema_of("ppo_model", PPOConfig),
    pool="gpu",
)
@explained
def ppo_model(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """The SFT model after proximal policy optimization (PPO) on its own verified answers."""
    config = config_of(context, PPOConfig)
    return tune(context, home, pipes, "ppo", config, base="sft_model", data=data_of(home, PROBLEMS))


@dg.asset_check(
    asset=reward_model, description=f"The chosen answer has the higher reward in {MIN_ACCURACY:.0%} of held-out pairs."
)
def reward_model_ranks_pairs(home: LoamHome) -> dg.AssetCheckResult:
    """The accuracy on held-out pairs, where a tie counts half."""
    found = home.artifact("reward_model").summary["after"]
    return dg.AssetCheckResult(
        passed=found["accuracy"] >= MIN_ACCURACY,
        severity=WARN,
        description=f"the chosen answer has the higher reward in {found['accuracy']:.1%} of the held-out pairs",
        metadata=figures({**found, "minimum": MIN_ACCURACY}),
    )


@dg.asset_check(asset=ppo_model, description="More held-out problems are verified than before PPO.")
def ppo_raises_the_verified_rate(home: LoamHome) -> dg.AssetCheckResult:
    """Greedy answers to the held-out problems, before and after."""
    summary = home.artifact("ppo_model").summary
    before, after = (found["greedy"]["verified_rate"] for found in (summary["before"], summary))
    error = summary["greedy"]["verified_standard_error"]
    return dg.AssetCheckResult(
        passed=after > before,
        severity=WARN,
        description=f"{before:.1%} of the held-out problems before, {after:.1%} ± {error:.1%} after",
        metadata=figures({"before": before, "after": after, "standard_error": error}),
    )
