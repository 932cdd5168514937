"""Loam's own scaling law: a grid of small trainings, the fit, a prediction published before its runs, and the error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from assets.automation.partitions import LAW_BUDGETS
from assets.graph.tokens import token_shards
from assets.support import plots
from assets.support.checks import figures
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.processes import run_training
from assets.support.resources import LoamHome
from assets.support.results import Plots, Stopwatch, partition_results, result
from lm.errors import InputError
from lm.scaling.grid_config import GridConfig
from lm.scaling.grid_files import POINTS as GRID_POINTS
from lm.scaling.grid_files import PREDICTION, RUNS
from lm.scaling.law_page import PAGE, write_law_report
from lm.scaling.sweep_config import POINTS, SweepConfig
from lm.storage import Artifact, find_artifact, open_artifact
from lm.training.metrics import work_folder

_GROUP = "scaling_law"
_MOST_ERROR = 0.02
"""Of a predicted loss."""


@dg.asset(group_name=_GROUP, deps=[token_shards], config_schema=schema_of("scaling_runs", SweepConfig), pool="gpu")
@explained
def scaling_runs(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """A sweep of training runs through the training API: hyperparameters, FLOPs and losses."""
    watch = Stopwatch()
    output = home.target("scaling_runs")
    paths = {"shards": home.target("token_shards"), "runs": work_folder(output), "output": output}
    run_training(context, pipes, "scaling_runs", config_of(context, SweepConfig), paths)
    artifact = home.artifact("scaling_runs")
    return result(artifact, watch, {"points": plots.table(json.loads(artifact.file(POINTS).read_text()))})


@dg.asset(
    group_name=_GROUP,
    deps=[token_shards],
    partitions_def=LAW_BUDGETS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    config_schema=schema_of("law_runs", GridConfig),
    pool="gpu",
)
@explained
def law_runs(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """Training runs of every model size, one budget per partition. Use the same settings for all assets of the scaling
    law.
    """
    watch = Stopwatch()
    config, artifacts = config_of(context, GridConfig), {}
    for budget in context.partition_keys:
        output = home.target("law_runs") / budget
        paths = {"shards": home.target("token_shards"), "runs": work_folder(home.target("law_runs")), "output": output}
        run_training(context, pipes, "law_runs", config, paths, budget=budget)
        artifacts[budget] = open_artifact(output)
    return partition_results(context, artifacts, watch, lambda _, made: _points(made))


@dg.asset(
    group_name=_GROUP,
    deps=[token_shards, dg.AssetDep(law_runs, partition_mapping=dg.AllPartitionMapping())],
    config_schema=schema_of("law_prediction", GridConfig),
)
@explained
def law_prediction(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """The scaling law fitted to the grid, and its loss prediction for a larger budget, published before the training
    run.
    """
    watch = Stopwatch()
    config, output = config_of(context, GridConfig), home.target("law_prediction")
    budgets = _budgets(home, config)
    paths = {"budgets": budgets, "shards": home.target("token_shards"), "output": output}
    run_training(context, pipes, "law_prediction", config, paths)
    artifact = home.artifact("law_prediction")
    told = json.loads(artifact.file(PREDICTION).read_text())
    errors, losses = told.pop("largest_left_out"), told.pop("losses")
    methods = [{"method": name, "loss": loss, "error_at_the_largest": errors[name]} for name, loss in losses.items()]
    return result(artifact, watch, {"prediction": plots.table([told]), "methods": plots.table(methods)})


@dg.asset(
    group_name=_GROUP, deps=[token_shards, law_prediction], config_schema=schema_of("law_test", GridConfig), pool="gpu"
)
@explained
def law_test(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """The predicted training run, repeated for each seed, with the error of the prediction."""
    watch = Stopwatch()
    paths = {
        "prediction": home.target("law_prediction"),
        "shards": home.target("token_shards"),
        "runs": work_folder(home.target("law_runs")),
        "output": home.target("law_test"),
    }
    run_training(context, pipes, "law_test", config_of(context, GridConfig), paths)
    artifact = home.artifact("law_test")
    return result(artifact, watch, {"runs": plots.table(json.loads(artifact.file(RUNS).read_text())["runs"])})


@dg.asset(group_name=_GROUP, deps=[law_prediction, law_test])
@explained
def law_report(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Report of the scaling law: IsoFLOP curves, loss surface, frontier, and predicted against measured loss."""
    watch = Stopwatch()
    artifact = write_law_report(home.artifact("law_prediction"), home.artifact("law_test"), home.target("law_report"))
    return result(artifact, watch, {"page": plots.path(artifact.file(PAGE))})


@dg.asset_check(
    asset=law_test, description=f"The mean loss over the seeds is within {_MOST_ERROR:.0%} of the predicted loss."
)
def law_predicts(home: LoamHome) -> dg.AssetCheckResult:
    """The law predicts a larger budget's loss within 2%."""
    found = home.artifact("law_test").summary
    return dg.AssetCheckResult(
        passed=abs(found["relative_error"]) <= _MOST_ERROR,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{found['relative_error']:+.2%} relative to the predicted loss",
        metadata=figures(found),
    )


def _budgets(home: LoamHome, config: GridConfig) -> Mapping[str, Path]:
    paths = {str(index): home.target("law_runs") / str(index) for index in range(len(config.budgets_flops))}
    missing = [budget for budget, path in paths.items() if find_artifact(path) is None]
    if missing:
        raise InputError(f"law_runs: budgets {', '.join(missing)} have not been trained yet; materialize them first")
    return paths


def _points(artifact: Artifact) -> Plots:
    return {"points": plots.table(json.loads(artifact.file(GRID_POINTS).read_text()))}
