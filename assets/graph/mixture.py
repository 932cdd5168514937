"""The training mixture: tokens of each source in pre-training."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from assets.graph.tokens import token_shards
from assets.support import plots
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, result
from lm.errors import ConfigurationError
from lm.training.config import PretrainConfig
from pipelines.tokens.mixture import MIXTURE, MixtureConfig, PlannedSource, make_mixture, training_weights

NUM_TOKENS = 1_000_000
"""The default length of a run: about two minutes on two laptop cores."""


@dg.asset(group_name="tokens", deps=[token_shards], config_schema=schema_of("training_mixture", MixtureConfig))
@explained
def training_mixture(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The exact number of tokens that a training run reads from each source, within the epoch limits."""
    watch = Stopwatch()
    config = config_of(context, MixtureConfig)
    artifact = make_mixture(home.artifact("token_shards"), home.target("training_mixture"), config)
    sources = json.loads(artifact.file(MIXTURE).read_text())["sources"]
    shares = {each["source"]: each["weight"] for each in sources}
    rows = [{field.name: each[field.name] for field in dataclasses.fields(PlannedSource)} for each in sources]
    shown = {"shares": plots.shares("Share of the tokens, by source", shares), "sources": plots.table(rows)}
    return result(artifact, watch, shown)


@dg.asset_check(
    asset=training_mixture,
    description="The tokens of all sources sum to the tokens of the run, and no source exceeds its epoch limit.",
)
def mixture_is_exact(home: LoamHome) -> dg.AssetCheckResult:
    """The counts of tokens are exact."""
    plan = json.loads(home.artifact("training_mixture").file(MIXTURE).read_text())
    used = sum(each["tokens_used"] for each in plan["sources"])
    over = [each["source"] for each in plan["sources"] if each["epochs"] > each["max_epochs"]]
    available = sum(each["tokens_available"] for each in plan["sources"])
    return dg.AssetCheckResult(
        passed=used == plan["num_tokens"] and not over,
        description=f"{used:,} tokens of {len(plan['sources'])} sources, for a run of {plan['num_tokens']:,} tokens",
        metadata={"num_tokens": plan["num_tokens"], "tokens_used": used, "tokens_available": available, "over": over},
    )


def mixed(config: PretrainConfig, home: LoamHome, warn: Callable[[str], None]) -> PretrainConfig:
    """Return the training configuration with the mixture's weights, unless it has its own, which the mixture's limits
    bind too.

    A run of the default length is cut to what the mixture allows, with a warning: a small corpus trains to its end.

    Raises:
        ConfigurationError: a run of another length is longer than the mixture allows, or reads more of a source.
    """
    plan = json.loads(home.artifact("training_mixture").file(MIXTURE).read_text())
    vocab_size = home.artifact("token_shards").summary["vocab_size"]
    context_length = config.model_config(vocab_size).context_length
    num_tokens = (
        config.steps(context_length) * config.batch_size * context_length if config.num_steps else config.num_tokens
    )
    if config.source_weights:
        check_limits(config.source_weights, num_tokens, plan)
        return config
    if num_tokens > plan["num_tokens"] and config.num_tokens == NUM_TOKENS and plan["num_tokens"]:
        step = config.batch_size * context_length
        num_tokens = max(step, plan["num_tokens"] // step * step)  # whole steps, not rounded up beyond the mixture
        warn(
            f"pretrained_model: num_tokens reduced from {NUM_TOKENS:,} to {num_tokens:,}, the maximum in whole steps "
            "that training_mixture allows"
        )
        config = dataclasses.replace(config, num_tokens=num_tokens)
    if num_tokens > plan["num_tokens"]:
        raise ConfigurationError(
            f"pretrained_model: {num_tokens:,} tokens, but training_mixture allows {plan['num_tokens']:,}; train on "
            "fewer tokens, or raise max_epochs or num_tokens of training_mixture"
        )
    return dataclasses.replace(config, source_weights=training_weights(plan))


def check_limits(weights: Mapping[str, float], num_tokens: int, plan: Mapping[str, Any]) -> None:
    """Check that a run with weights of its own stays within the mixture's sources and their `max_epochs`.

    Raises:
        ConfigurationError: names the source and what the mixture allows.
    """
    planned = {each["source"]: each for each in plan["sources"]}
    for source, weight in weights.items():
        if source not in planned:
            raise ConfigurationError(
                f"pretrained_model: source_weights.{source}: not a source of training_mixture, expected some of "
                f"{', '.join(planned)}"
            )
        used = num_tokens * weight / math.fsum(weights.values())
        allowed = planned[source]["max_epochs"] * planned[source]["tokens_available"]
        if used > allowed:
            raise ConfigurationError(
                f"pretrained_model: source_weights.{source}: {used:,.0f} tokens, but training_mixture allows "
                f"{allowed:,.0f}, {planned[source]['max_epochs']:g} epochs"
            )
