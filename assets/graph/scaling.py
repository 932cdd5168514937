"""Budget and plan of the pre-training: what it costs, and the best model for a budget."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg

from assets.graph.mixture import NUM_TOKENS, mixed, training_mixture
from assets.graph.tokens import token_shards
from assets.support import plots
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.processes import run_training
from assets.support.resources import LoamHome
from assets.support.results import Plots, Stopwatch, result
from lm.scaling.budget_comparison import BUDGET, CALIBRATION
from lm.scaling.config import PlanConfig
from lm.scaling.planned_training import PlannedTraining, training_of
from lm.storage import Artifact
from lm.training.config import PretrainConfig
from lm.training.metrics import work_folder

PLAN = "plan.json"
SAMPLE_INTERVAL = 250
"""Steps between two samples of text, by default."""


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
    tables = json.loads(artifact.file(PLAN).read_text())
    return result(
        artifact, watch, {name: plots.table([plots.readable(row) for row in rows]) for name, rows in tables.items()}
    )


@dg.asset(
    group_name="scaling",
    deps=[token_shards, training_mixture, training_plan],
    config_schema=schema_of("training_budget", PlannedTraining, num_tokens=NUM_TOKENS, sample_interval=SAMPLE_INTERVAL),
    pool="gpu",
)
@explained
def training_budget(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """Parameters, FLOPs, memory and time of pre-training, estimated before the run. Use the same settings as for
    `pretrained_model`.
    """
    watch = Stopwatch()
    training, _ = planned(config_of(context, PlannedTraining), home)
    paths = {"shards": home.target("token_shards"), "output": home.target("training_budget")}
    run_training(context, pipes, "budget", mixed(training, home, context.log.warning), paths)
    artifact = home.artifact("training_budget")
    return result(artifact, watch, _budget_metadata(artifact, home))


def planned(config: PlannedTraining, home: LoamHome) -> tuple[PretrainConfig, dict[str, Any] | None]:
    """Return the training, and the row of the plan that it follows; None where it follows none."""
    if not config.plan:
        return training_of(config, None), None
    tables = json.loads(home.artifact("training_plan").file(PLAN).read_text())
    row = next((row for row in tables["budgets"] if row["flops"] == config.plan_flops), None)
    return training_of(config, tables), row


def against_plan(artifact: Artifact, row: dict[str, Any] | None) -> Plots:
    """Return the plan's loss beside the measured one, for a training that followed the plan."""
    if row is None:
        return {}
    predicted, measured = row["expected_loss"], artifact.summary["validation_loss"]
    return {
        "predicted_loss": dg.MetadataValue.float(predicted),
        "loss_by_fits": dg.MetadataValue.text(row["loss_by_fits"] or "none: loss above a uniform guess"),
        "prediction_error": dg.MetadataValue.float(predicted / measured - 1),
        "plan": dg.MetadataValue.text(row["note"]),
    }


def _budget_metadata(artifact: Artifact, home: LoamHome) -> Plots:
    facts = json.loads(artifact.file(BUDGET).read_text())
    measured = json.loads((work_folder(home.target("training_budget")) / CALIBRATION).read_text())
    rows = facts["shares_by_context"]
    contexts = [row["context"] for row in rows]
    parts = [name for name in rows[0] if name != "context" and any(row[name] for row in rows)]
    return {
        "shares_by_context": _shares(contexts, {part: [row[part] for row in rows] for part in parts}),
        "memory": plots.bars(
            "Bytes of a step",
            {name.removesuffix("_bytes"): float(facts[name]) for name in facts if name.endswith("_bytes")},
            x="bytes",
        ),
        "predicted_seconds": dg.MetadataValue.float(measured["predicted_seconds"]),
        "calibrated_mfu": dg.MetadataValue.float(measured["utilization"]),
        "flops_6nd": dg.MetadataValue.float(facts["flops_6nd"]),
        "flops_square": dg.MetadataValue.float(facts["flops_square"]),
    }


def _shares(contexts: list[int], shares: dict[str, list[float]]) -> dg.MetadataValue[Any]:
    with plots.drawing("Share of the FLOPs by context length", x="context, tokens", y="share") as picture:
        for part, values in shares.items():
            picture.axes.plot(contexts, values, label=part.replace("_", " "), linewidth=1.5)
        picture.axes.set_xscale("log", base=2)
        picture.axes.legend(frameon=False)
        picture.axes.grid(alpha=0.3)
    return picture.metadata
