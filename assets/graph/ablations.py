"""Ablations: choices of model and training, compared by short trainings of equal budget."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from assets.automation.partitions import ABLATION_QUESTIONS
from assets.graph.tokens import token_shards
from assets.support import plots
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.processes import run_training
from assets.support.resources import LoamHome
from assets.support.results import Plots, Stopwatch, partition_results, result
from lm.ablations.config import QUESTIONS, AblationConfig
from lm.ablations.report import PAGE, runs_of, sentence, standings, validation_over_seconds, write_ablation_report
from lm.errors import InputError
from lm.locations import workspace
from lm.storage import Artifact, find_artifact, open_artifact


@dg.asset(
    group_name="experiments",
    deps=[token_shards],
    partitions_def=ABLATION_QUESTIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    config_schema=schema_of("ablations", AblationConfig),
    pool="gpu",
)
@explained
def ablations(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """Ablations, one question per partition: training runs on the same tokens that differ in one setting, repeated for
    each seed.
    """
    watch = Stopwatch()
    config, artifacts = config_of(context, AblationConfig), {}
    for question in context.partition_keys:
        output = _target(home, question)
        paths = {"shards": home.target("token_shards"), "runs": _runs(home), "output": output}
        run_training(context, pipes, "ablation", config, paths, question=question)
        artifacts[question] = open_artifact(output)
    return partition_results(context, artifacts, watch, lambda question, made: _plots(question, made, _runs(home)))


@dg.asset(
    group_name="experiments",
    deps=[dg.AssetDep(ablations, partition_mapping=dg.AllPartitionMapping())],
)
@explained
def ablation_report(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The winner of each question, its margin, and the spread between seeds."""
    watch = Stopwatch()
    asked = {question: _target(home, question) for question in QUESTIONS}
    found = {question: made for question, path in asked.items() if (made := find_artifact(path)) is not None}
    if not found:
        raise InputError(f"{home.target('ablations')}: no ablation has been run yet; materialize `ablations` first")
    artifact = write_ablation_report(found, home.target("ablation_report"))
    return result(artifact, watch, {"report": dg.MetadataValue.md(artifact.file(PAGE).read_text())})


def _target(home: LoamHome, question: str) -> Path:
    return home.target("ablations") / question


def _runs(home: LoamHome) -> Path:
    """Return the local folder of the trainings; questions share equal trainings."""
    near = workspace(home.target("ablations"))
    return near.parent / f"{near.name}.work"


def _plots(question: str, artifact: Artifact, runs: Path) -> Plots:
    rows = runs_of(artifact)
    panels = {"step": _by_step(rows), "seconds": _by_seconds(rows, runs)}
    drawn = {x: curves for x, curves in panels.items() if curves}
    told = sentence(question, artifact.summary)
    return {
        "verdict": dg.MetadataValue.text(told),
        "validation_loss_curves": plots.side_by_side(question.replace("_", " "), drawn, y="validation loss"),
        "standings": plots.table([{**row, "diverged_seeds": str(row["diverged_seeds"])} for row in standings(rows)]),
    }


def _by_step(rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    return {_label(row): (row["validation_steps"], row["validation_losses"]) for row in rows}


def _by_seconds(rows: list[dict[str, Any]], runs: Path) -> Mapping[str, Any]:
    """Return the same curves over wall time, for the runs with recorded times."""
    curves = {_label(row): validation_over_seconds(row, runs) for row in rows}
    return {label: curve for label, curve in curves.items() if curve[0]}


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['variant']}, seed {row['seed']}"
