"""Evaluation: all training stages on the same held-out problems."""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets.graph.alignment import alignment_data, dpo_model, grpo_model, replay_control, sft_model
from assets.graph.pretraining import pretrained_model
from assets.graph.tokens import token_shards, tokenizer
from assets.support import plots
from assets.support.checks import figures
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.processes import run_training
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, result
from lm.alignment.config import ReportConfig
from lm.alignment.data import PREFERENCES, PROBLEMS
from lm.storage import Artifact

MIN_GRPO_GAIN = 0.2
MIN_WELL_FORMED = 0.9
_STAGES = ("pretrained", "sft", "dpo", "grpo")


@dg.asset(
    group_name="evaluation",
    deps=[
        pretrained_model,
        sft_model,
        dpo_model,
        grpo_model,
        replay_control,
        tokenizer,
        token_shards,
        alignment_data,
    ],
    config_schema=schema_of("evaluation_report", ReportConfig),
    pool="gpu",
)
@explained
def evaluation_report(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """Every training stage on the same prompts: bits per byte, tax, answers, win rate, length and KL."""
    watch = Stopwatch()
    data = home.artifact("alignment_data")
    paths = {
        "models": {stage: home.target(f"{stage}_model") for stage in _STAGES},
        "tokenizer": home.target("tokenizer"),
        "problems": data.file(PROBLEMS),
        "preferences": data.file(PREFERENCES),
        "shards": home.target("token_shards"),
        "control": home.target("replay_control"),
        "output": home.target("evaluation_report"),
    }
    run_training(context, pipes, "evaluate", config_of(context, ReportConfig), paths)
    artifact = home.artifact("evaluation_report")
    report = dg.MetadataValue.md(artifact.file("report.md").read_text())
    gains = plots.table(artifact.summary["gains"])
    shown = {"stages": _stages_table(artifact), "gains": gains, **_plots(artifact), "report": report}
    shown |= _numbers(artifact)
    return result(artifact, watch, shown, without=_STAGES)


def _stages_table(artifact: Artifact) -> dg.MetadataValue[Any]:
    """Return every figure of every stage, a column a stage."""
    rows = {stage: artifact.summary[stage] for stage in _STAGES}
    values = ((name, value) for row in rows.values() for name, value in row.items())
    names = dict.fromkeys(name for name, value in values if isinstance(value, int | float))
    return plots.table(
        [{"figure": name.replace("_", " "), **{stage: row.get(name) for stage, row in rows.items()}} for name in names]
    )


PLOTTED = {
    "bits_per_byte": ("Bits per byte of held-out documents", "bits"),
    "tax": ("Alignment tax: increase in bits per byte over the control", "share"),
    "greedy_verified_rate": ("Verified answers, greedy", "share"),
    "greedy_well_formed_rate": ("Well-formed answers, greedy", "share"),
    "win_rate": ("Win rate against the SFT model, greedy, ties count half", "share"),
    "response_tokens": ("Length of sampled answers", "tokens"),
    "kl_from_first": ("KL from the pre-trained model, on sampled answers", "nats per token"),
    "prefers_chosen": ("Held-out pairs with the chosen response more likely", "share"),
}
"""Figures of a stage that are drawn: the title and the unit."""

_SHORT = {
    "greedy_verified_rate": "verified",
    "greedy_well_formed_rate": "well_formed",
    "win_rate": "wins",
    "response_tokens": "tokens",
    "kl_from_first": "kl",
    "prefers_chosen": "prefers",
}
"""Their names behind the stage's: a longer one would take its width from the column of values."""


def _plots(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    """Return one bar chart a figure, over the stages that have it."""
    drawn: dict[str, dg.MetadataValue[Any]] = {}
    for name, (title, unit) in PLOTTED.items():
        values = {stage: artifact.summary[stage][name] for stage in _STAGES}
        drawn[name] = plots.bars(title, {stage: v for stage, v in values.items() if v is not None}, x=unit)
    return drawn


def _numbers(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    """Return the drawn figures of every stage as numbers of their own, which Dagster plots from run to run."""
    return {
        f"{stage}/{_SHORT.get(name, name)}": dg.MetadataValue.float(plots.rounded(artifact.summary[stage][name]))
        for stage in reversed(_STAGES)
        for name in PLOTTED
        if artifact.summary[stage][name] is not None
    }


@dg.asset_check(
    asset=evaluation_report,
    description=f"The verified rate of GRPO is at least {MIN_GRPO_GAIN * 100:.0f} points above that of SFT, and at "
    f"least {MIN_WELL_FORMED:.0%} of its answers are well-formed.",
)
def grpo_raises_the_verified_rate(home: LoamHome) -> dg.AssetCheckResult:
    """GRPO answers more held-out problems correctly than SFT, in the required format."""
    rows = home.artifact("evaluation_report").summary
    found = next(each for each in rows["gains"] if (each["from"], each["to"]) == ("sft", "grpo"))
    gain = round(found["gain"], 6)
    well_formed = rows["grpo"]["greedy_well_formed_rate"]
    return dg.AssetCheckResult(
        passed=gain >= MIN_GRPO_GAIN and well_formed >= MIN_WELL_FORMED,
        description=f"{gain * 100:+.1f} ± {found['standard_error'] * 100:.1f} points over SFT, "
        f"{well_formed:.1%} of the answers well-formed",
        metadata=figures(
            {
                "gain": gain,
                "standard_error": found["standard_error"],
                **({} if found["error_removed"] is None else {"error_removed": found["error_removed"]}),
                "minimum_gain": MIN_GRPO_GAIN,
                "well_formed_rate": well_formed,
                **{f"{name}_verified_rate": rows[name]["greedy_verified_rate"] for name in ("sft", "grpo")},
                **{f"{name}_standard_error": rows[name]["greedy_standard_error"] for name in ("sft", "grpo")},
            }
        ),
    )
