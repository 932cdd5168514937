"""The training mixture: how much of each source the pre-training reads."""

from __future__ import annotations

import dataclasses
import json
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


@dg.asset(group_name="tokens", deps=[token_shards], config_schema=schema_of(MixtureConfig))
@explained
def training_mixture(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """How many tokens of each source a training run reads, within epoch limits; exact to the token."""
    watch = Stopwatch()
    config = config_of(context, MixtureConfig)
    artifact = make_mixture(home.artifact("token_shards"), home.target("training_mixture"), config)
    sources = json.loads(artifact.file(MIXTURE).read_text())["sources"]
    shares = {each["source"]: each["weight"] for each in sources}
    rows = [{field.name: each[field.name] for field in dataclasses.fields(PlannedSource)} for each in sources]
    shown = {"shares": plots.shares("Share of the tokens, by source", shares), "sources": plots.table(rows)}
    return result(artifact, watch, shown)


@dg.asset_check(asset=training_mixture, description="The sources' tokens sum to the run's, and no limit is passed.")
def mixture_is_exact(home: LoamHome) -> dg.AssetCheckResult:
    """Tokens are counted to the one."""
    plan = json.loads(home.artifact("training_mixture").file(MIXTURE).read_text())
    used = sum(each["tokens_used"] for each in plan["sources"])
    over = [each["source"] for each in plan["sources"] if each["epochs"] > each["max_epochs"]]
    available = sum(each["tokens_available"] for each in plan["sources"])
    return dg.AssetCheckResult(
        passed=used == plan["num_tokens"] and not over,
        metadata={"num_tokens": plan["num_tokens"], "tokens_used": used, "tokens_available": available, "over": over},
    )


def mixed(config: PretrainConfig, home: LoamHome) -> PretrainConfig:
    """The training configuration with the mixture's weights, unless it has its own.

    Raises:
        ConfigurationError: the run is longer than the mixture allows.
    """
    if config.source_weights:
        return config
    plan = json.loads(home.artifact("training_mixture").file(MIXTURE).read_text())
    vocab_size = home.artifact("token_shards").summary["vocab_size"]
    context_length = config.model_config(vocab_size).context_length
    num_tokens = config.num_tokens or config.num_steps * config.batch_size * context_length
    if num_tokens > plan["num_tokens"]:
        raise ConfigurationError(
            f"pretrained_model: {num_tokens:,} tokens, but training_mixture allows {plan['num_tokens']:,}; train for "
            "fewer, or raise its max_epochs or num_tokens"
        )
    return dataclasses.replace(config, source_weights=training_weights(plan))
