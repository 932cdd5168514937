"""Alignment outside of the demo's chain: a reward model of the pairs, PPO where the chain has GRPO, rejection sampling
and expert iteration."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from typing import Any

import dagster as dg

from assets.graph.alignment import alignment_data, data_of, preference_pairs, sft_model, tune
from assets.graph.pretraining import inline_curve, metrics
from assets.graph.tokens import token_shards, tokenizer
from assets.support import plots
from assets.support.checks import WARN, figures
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.processes import run_training
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, result
from lm.alignment.config import PPOConfig, RewardModelConfig
from lm.alignment.data import GENERATIONS, INSTRUCTIONS, PREFERENCES, PROBLEMS
from lm.alignment.expert_config import ExpertConfig, RejectionConfig
from lm.chat.records import Instruction, Problem, read_records
from lm.json_lines import rows_of
from lm.rewards.answer_line import parse_answer
from lm.storage import Artifact

MIN_ACCURACY = 0.8
_NUM_SHOWN = 10


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


@dg.asset(
    group_name="experiments",
    deps=[sft_model, tokenizer, alignment_data],
    config_schema=schema_of("rejection_samples", RejectionConfig),
    pool="gpu",
)
@explained
def rejection_samples(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """Correct answers of the SFT model to training problems, as instructions for SFT."""
    watch = Stopwatch()
    paths = {
        "model": home.target("sft_model"),
        "tokenizer": home.target("tokenizer"),
        "problems": data_of(home, PROBLEMS),
        "instructions": data_of(home, INSTRUCTIONS),
        "output": home.target("rejection_samples"),
    }
    run_training(context, pipes, "rejection", config_of(context, RejectionConfig), paths)
    artifact = home.artifact("rejection_samples")
    with artifact.file(INSTRUCTIONS).open(encoding="utf-8") as stream:
        shown = [json.loads(line) for line in islice(stream, _NUM_SHOWN)]
    return result(artifact, watch, {"accounts": _accounts(artifact), "kept": plots.table(shown)})


def _accounts(artifact: Artifact) -> dg.MetadataValue[Any]:
    """Return the bars of what became of the samples."""
    names = ("sampled", "right", "kept", "repeated", "surplus")
    return plots.bars("Samples", {name: artifact.summary[f"num_{name}"] for name in names}, x="answers")


@dg.asset(
    group_name="experiments",
    deps=[sft_model, tokenizer, alignment_data, token_shards],
    config_schema=schema_of("expert_model", ExpertConfig),
    pool="gpu",
)
@explained
def expert_model(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """The SFT model after expert iteration: rounds of sampling, and SFT on the correct answers."""
    watch, config = Stopwatch(), config_of(context, ExpertConfig)
    paths = {
        "model": home.target("sft_model"),
        "tokenizer": home.target("tokenizer"),
        "problems": data_of(home, PROBLEMS),
        "instructions": data_of(home, INSTRUCTIONS),
        "output": home.target("expert_model"),
        **({"shards": home.target("token_shards")} if config.replay_windows else {}),
    }
    run_training(context, pipes, "expert", config, paths)
    artifact = home.artifact("expert_model")
    rows = metrics(artifact)
    names = {"samples": "pass_rate", "held out, greedy": "greedy_verified_rate"}
    curves = {name: ([row["step"] for row in rows], [row[key] for row in rows]) for name, key in names.items()}
    samples = rows_of(artifact.file(GENERATIONS))
    shown = {
        "pass_rate_curve": inline_curve(rows, "pass_rate"),
        "pass_rate": plots.lines("Correct answers", curves, x="round", y="share"),
        "each_round": plots.table(rows),
        "samples": plots.table(samples[:_NUM_SHOWN]),
    }
    return result(artifact, watch, shown, without=("rounds",))


@dg.asset_check(
    asset=reward_model,
    description=f"The chosen answer has the higher reward in at least {MIN_ACCURACY:.0%} of held-out pairs.",
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


def _raises_the_verified_rate(home: LoamHome, name: str) -> dg.AssetCheckResult:
    """Compare greedy answers to the held-out problems before and after a stage."""
    summary = home.artifact(name).summary
    before, after = (found["greedy"]["verified_rate"] for found in (summary["before"], summary))
    error = summary["greedy"]["verified_standard_error"]
    return dg.AssetCheckResult(
        passed=after > before,
        severity=WARN,
        description=f"{before:.1%} of the held-out problems before, {after:.1%} ± {error:.1%} after",
        metadata=figures({"before": before, "after": after, "standard_error": error}),
    )


@dg.asset_check(asset=ppo_model, description="More held-out problems are verified than before PPO.")
def ppo_raises_the_verified_rate(home: LoamHome) -> dg.AssetCheckResult:
    """The gain of PPO."""
    return _raises_the_verified_rate(home, "ppo_model")


@dg.asset_check(asset=expert_model, description="More held-out problems are verified than before expert iteration.")
def expert_iteration_raises_the_verified_rate(home: LoamHome) -> dg.AssetCheckResult:
    """The gain of expert iteration."""
    return _raises_the_verified_rate(home, "expert_model")


@dg.asset_check(
    asset=rejection_samples,
    description="Every kept answer is correct, no problem has duplicate or too many answers, and every correct sample "
    "is accounted for.",
)
def rejection_samples_are_right(home: LoamHome) -> dg.AssetCheckResult:
    """The kept answers are verified anew against the problems."""
    artifact = home.artifact("rejection_samples")
    answers = {each.prompt: each.answer for each in read_records(Problem, data_of(home, PROBLEMS))}
    records = read_records(Instruction, artifact.file(INSTRUCTIONS))
    kept = [record for record in records if record.split == "train"]
    wrong = sum(parse_answer(record.response) != answers.get(record.prompt) for record in kept)
    repeated = len(kept) - len({(record.prompt, record.response) for record in kept})
    most = max(Counter(record.prompt for record in kept).values(), default=0)
    found = artifact.summary
    lost = found["num_right"] - found["num_kept"] - found["num_repeated"] - found["num_surplus"]
    limit = artifact.config["most_kept"]
    return dg.AssetCheckResult(
        passed=not wrong and not repeated and not lost and most <= limit and len(kept) == found["num_kept"],
        description=f"kept {len(kept):,} of {found['num_sampled']:,} samples, {found['num_right']:,} samples correct; "
        f"among the kept answers {wrong} incorrect, {repeated} duplicated, at most {most} per problem; {lost} correct "
        "samples unaccounted for",
        metadata=figures({**found, "wrong": wrong, "equal": repeated, "unaccounted_for": lost, "most_kept": limit}),
    )
