"""Scaling plan: the cost of each model size on the available tokens, and the best model for a budget."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg

from assets.graph.tokens import token_shards
from assets.support import plots
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.processes import run_training
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, result
from lm.scaling.config import PlanConfig


@dg.asset(group_name="scaling", deps=[token_shards], config_schema=schema_of("training_plan", PlanConfig))
@explained
def training_plan(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """Parameters, FLOPs and bytes of every preset; the best model shape and number of tokens for each budget."""
    watch = Stopwatch()
    paths = {"shards": home.target("token_shards"), "output": home.target("training_plan")}
    run_training(context, pipes, "plan", config_of(context, PlanConfig), paths)
    artifact = home.artifact("training_plan")
    tables = json.loads(artifact.file("plan.json").read_text())
    return result(
        artifact, watch, {name: plots.table([plots.readable(row) for row in rows]) for name, rows in tables.items()}
    )
