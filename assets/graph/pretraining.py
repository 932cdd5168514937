"""Pre-training: the model, and its n-gram baseline."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from assets.graph.mixture import NUM_TOKENS, mixed, training_mixture
from assets.graph.scaling import SAMPLE_INTERVAL, against_plan, planned, training_budget, training_plan
from assets.graph.tokens import token_shards, tokenizer
from assets.support import plots
from assets.support.checks import figures
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.observing import observed
from assets.support.plots import bytes_text
from assets.support.processes import run_training
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, result
from lm.alignment.data import INSTRUCTIONS
from lm.chat.shards import write_chat_shards
from lm.evaluation.config import NgramConfig
from lm.scaling.budget_comparison import MOST_BYTES_ERROR, MOST_SECONDS_ERROR, comparison
from lm.scaling.planned_training import PlannedTraining
from lm.storage import Artifact
from lm.training.metrics import METRICS, PROFILE_FOLDER, live_rows, time_table, work_folder
from pipelines.report import small_charts

PROFILE_STEP = 100
"""The step that is profiled, by default."""


@dg.asset(group_name="pretraining", deps=[token_shards], config_schema=schema_of("ngram_baseline", NgramConfig))
@explained
def ngram_baseline(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """The baseline: a Kneser-Ney n-gram model, counted on the same tokens and scored on the same held-out documents."""
    watch = Stopwatch()
    paths = {"shards": home.target("token_shards"), "output": home.target("ngram_baseline")}
    run_training(context, pipes, "ngram", config_of(context, NgramConfig), paths)
    return result(home.artifact("ngram_baseline"), watch)


@dg.asset(
    group_name="pretraining",
    deps=[token_shards, tokenizer, training_mixture, training_plan, training_budget, "alignment_data"],
    config_schema=schema_of(
        "pretrained_model",
        PlannedTraining,
        num_tokens=NUM_TOKENS,
        sample_interval=SAMPLE_INTERVAL,
        profile_step=PROFILE_STEP,
    ),
    pool="gpu",
)
@explained
def pretrained_model(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """A Transformer trained from scratch on the token shards. A new launch resumes from the last checkpoint."""
    watch = Stopwatch()
    training, row = planned(config_of(context, PlannedTraining), home)
    output = home.target("pretrained_model")
    paths = {"shards": home.target("token_shards"), "tokenizer": home.target("tokenizer"), "output": output}
    config = mixed(training, home, context.log.warning)
    if config.decay_chat_share:
        instructions = home.artifact("alignment_data").file(INSTRUCTIONS)
        write_chat_shards(instructions, home.artifact("tokenizer"), home.target("chat_shards"))
        paths["chat"] = home.target("chat_shards")
    with observed(context, output):
        run_training(context, pipes, "pretrain", config, paths)
    artifact = home.artifact("pretrained_model")
    shown = {**loss_plots(artifact), **samples(artifact), **speed(live_rows(output)), **profile(output)}
    shown |= against_plan(artifact, row)
    return result(artifact, watch, shown)


@dg.asset_check(
    asset=pretrained_model,
    description="Every loss is finite, and the mean loss of the last tenth of the steps is below that of the "
    "first tenth.",
)
def loss_is_finite_and_falls(home: LoamHome) -> dg.AssetCheckResult:
    """The loss is finite at every step and decreases."""
    losses = [row["loss"] for row in metrics(home.artifact("pretrained_model")) if "loss" in row]
    tenth = max(1, len(losses) // 10)
    first, last = sum(losses[:tenth]) / tenth, sum(losses[-tenth:]) / tenth
    return dg.AssetCheckResult(
        passed=last < first and all(map(math.isfinite, losses)),
        description=f"loss from {first:.3f} to {last:.3f} in {len(losses):,} steps",
        metadata=figures({"first_tenth": first, "last_tenth": last, "steps": len(losses)}),
    )


@dg.asset_check(
    asset=pretrained_model,
    additional_deps=[ngram_baseline],
    description="Bits per byte on held-out documents are below the n-gram model's.",
)
def beats_ngram(home: LoamHome) -> dg.AssetCheckResult:
    """The Transformer predicts held-out text better than the n-gram model."""
    ours = home.artifact("pretrained_model").summary["bits_per_byte"]
    theirs = home.artifact("ngram_baseline").summary["bits_per_byte"]
    return dg.AssetCheckResult(
        passed=ours < theirs,
        description=f"{ours:.3f} bits per byte; the n-gram model has {theirs:.3f}",
        metadata=figures({"bits_per_byte": ours, "ngram_bits_per_byte": theirs}),
    )


@dg.asset_check(
    asset=pretrained_model,
    additional_deps=[training_budget],
    description="Predicted memory is within 10% of a measured step's, predicted time within 20% of the run's.",
)
def budget_was_right(home: LoamHome) -> dg.AssetCheckResult:
    """The budget agrees with the run: a warning where it does not, since other work on the machine slows a run down."""
    budget, model = home.artifact("training_budget"), home.artifact("pretrained_model")
    found = comparison(budget, home.target("training_budget"), model, home.target("pretrained_model"))
    limits = {"bytes": MOST_BYTES_ERROR, "seconds": MOST_SECONDS_ERROR}
    errors = {name: found[f"{name}_error"] for name in limits if found[f"{name}_error"] is not None}
    written = {"bytes": ("memory", bytes_text), "seconds": ("time", "{:,.1f} s".format)}
    told = []
    for name, (quantity, text) in written.items():
        if name in errors:
            predicted, measured = text(found[f"predicted_{name}"]), text(found[f"measured_{name}"])
            told.append(f"{quantity}: predicted {predicted}, measured {measured} ({errors[name]:+.0%})")
        else:
            told.append(f"{quantity}: not measured (no record on this machine)")
    if not found["same"]:
        told = [
            "the budget was computed for another configuration: materialize training_budget with the settings of "
            "pretrained_model"
        ]
    return dg.AssetCheckResult(
        passed=found["same"] and all(abs(error) <= limits[name] for name, error in errors.items()),
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(told),
        metadata=figures({name: value for name, value in found.items() if value is not None}),
    )


def metrics(artifact: Artifact) -> list[dict[str, Any]]:
    """Return the rows of a training's `metrics.jsonl`."""
    return [json.loads(line) for line in artifact.file(METRICS).read_text().splitlines()]


def loss_plots(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    """Plot training and validation loss, the learning rate and the gradient's norm over the steps."""
    rows = metrics(artifact)
    by_source = sorted({name for row in rows for name in row if name.startswith("validation_loss/")})
    names = {"training": "loss", "validation": "validation_loss"}
    names |= {name.replace("_loss/", ": "): name for name in by_source}
    return {
        "loss_curve": inline_curve(rows, "loss", "nats"),
        "loss": _curves("Loss", rows, names, y="nats per token"),
        "learning_rate": _curves("Learning rate", rows, {"learning rate": "learning_rate"}, y=""),
        "gradient_norm": _curves("Gradient norm before clipping", rows, {"norm": "gradient_norm"}, y=""),
    }


def inline_curve(rows: Sequence[dict[str, Any]], name: str, unit: str = "") -> dg.MetadataValue[Any]:
    """Return a small curve of one measurement over the steps."""
    points = [(row["step"], row[name]) for row in rows if name in row]
    return plots.inline(name, small_charts.curve([x for x, _ in points], [y for _, y in points], unit))


def samples(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    """Return the text samples of the training run."""
    rows = [{"step": row["step"], "text": row["sample"]} for row in metrics(artifact) if "sample" in row]
    return {"samples": plots.table(rows)} if rows else {}


def profile(output: Path) -> dict[str, dg.MetadataValue[Any]]:
    """Return the table of where a step's time goes, and the folder of its trace; empty if no step was profiled."""
    rows = time_table(output)
    if not rows:
        return {}
    folder = work_folder(output) / PROFILE_FOLDER
    return {"step_time": plots.table(rows), "profile": plots.path(folder)}


def speed(rows: Sequence[dict[str, Any]]) -> dict[str, dg.MetadataValue[Any]]:
    """Return the speed of the steps, from the live view's record; empty if the model was complete already."""
    timed = [row for row in rows if "tokens_per_s" in row]
    if not timed:
        return {}
    found: dict[str, dg.MetadataValue[Any]] = {
        "speed": _curves("Speed", timed, {"speed": "tokens_per_s"}, y="tokens per second"),
        "peak_memory": dg.MetadataValue.text(plots.bytes_text(max(row["peak_memory_bytes"] for row in timed))),
    }
    utilizations = (f"mfu_{machine}{count}" for machine in ("measured", "data_sheet") for count in ("", "_square"))
    for name in ("tokens_per_s", *utilizations):
        if name in timed[0]:
            found[name] = dg.MetadataValue.float(plots.rounded(statistics.median(row[name] for row in timed)))
    return found


def _curves(title: str, rows: Sequence[dict[str, Any]], names: dict[str, str], *, y: str) -> dg.MetadataValue[Any]:
    """Plot curves over the steps, by the name in the legend and the name in the rows; one without points is left
    out.
    """
    curves = {
        name: ([row["step"] for row in rows if key in row], [row[key] for row in rows if key in row])
        for name, key in names.items()
    }
    return plots.lines(title, {name: curve for name, curve in curves.items() if curve[0]}, x="step", y=y)
