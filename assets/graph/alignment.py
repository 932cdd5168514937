"""Alignment: supervised fine-tuning (SFT), direct preference optimization (DPO) and GRPO."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import dagster as dg

from assets.graph.crawl import demo_crawl
from assets.graph.pretraining import inline_curve, metrics, pretrained_model
from assets.graph.tokens import token_shards, tokenizer
from assets.support import plots
from assets.support.checks import figures
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.processes import run_training
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, result
from lm.alignment.config import DeviceConfig, DPOConfig, GRPOConfig, PairsConfig, SFTConfig, TuningConfig
from lm.alignment.data import (
    COMPARISONS,
    FILES,
    GENERATIONS,
    INSTRUCTIONS,
    PREFERENCES,
    PROBLEMS,
    publish_alignment_data,
)
from lm.chat.layouts import HELDOUT_ONE_IN
from lm.configuration import Doc, Range, settle
from lm.json_lines import rows_of
from lm.storage import Artifact
from pipelines.fetch.remote_files import local_path

MIN_WELL_FORMED = 0.9
MIN_PREFERRED = 0.9
MAX_TAX = 0.02
"""The most that alignment may cost the language: bits per byte over the control's, as a share."""
STAGES = ("sft", "dpo", "grpo")
_NUM_SAMPLES_SHOWN = 10
SFT_STEPS = 150
"""The default length of SFT: a quarter of a minute on two laptop cores."""


@dataclass(frozen=True, kw_only=True)
class AlignmentSource:
    """The source of the alignment data: a folder in the house's layout, files as they are published, or the crawl's."""

    folder: Annotated[
        str | None,
        Doc("Folder with instructions.jsonl, preferences.jsonl and problems.jsonl; empty uses the built-in crawl's."),
    ] = None
    instructions: Annotated[
        tuple[str, ...], Doc("Published instruction files (messages, Alpaca or GSM8K), in place of the folder's.")
    ] = ()
    preferences: Annotated[
        tuple[str, ...],
        Doc(
            "Published preference files (prompt with chosen and rejected, HH's texts, or votes), in place of the "
            "folder's."
        ),
    ] = ()
    problems: Annotated[
        tuple[str, ...], Doc("Published problem files, such as GSM8K's, in place of the folder's.")
    ] = ()
    heldout_one_in: Annotated[
        int, Doc("Of published data without splits, one prompt in this many is held out."), Range(2, 10_000)
    ] = HELDOUT_ONE_IN

    def __post_init__(self) -> None:
        settle(self, "alignment_data")


@dg.asset(group_name="sources", deps=[demo_crawl], config_schema=schema_of("alignment_data", AlignmentSource))
@explained
def alignment_data(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Instructions, preference pairs and verifiable problems, each with a held-out part. Every line is validated."""
    watch = Stopwatch()
    source = config_of(context, AlignmentSource)
    files = {name: _places(source, name, home) for name in FILES}
    return result(publish_alignment_data(files, home.target("alignment_data"), source.heldout_one_in), watch)


def _places(source: AlignmentSource, name: str, home: LoamHome) -> list[Path]:
    """Return the files that the records of one name are read from."""
    published: tuple[str, ...] = getattr(source, Path(name).stem)
    if published:
        return [local_path(place, home.downloads) for place in published]
    if source.folder:
        return [local_path(f"{source.folder}/{name}", home.downloads)]
    return [home.artifact("demo_crawl").file(name)]


@dg.asset(
    group_name="alignment",
    deps=[pretrained_model, tokenizer, alignment_data, token_shards],
    config_schema=schema_of("sft_model", SFTConfig, num_steps=SFT_STEPS),
    pool="gpu",
)
@explained
def sft_model(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """The model after supervised fine-tuning on instructions."""
    config = config_of(context, SFTConfig)
    return tune(context, home, pipes, "sft", config, base="pretrained_model", data=data_of(home, INSTRUCTIONS))


@dg.asset(
    group_name="alignment",
    deps=[sft_model, tokenizer, alignment_data],
    config_schema=schema_of("preference_pairs", PairsConfig),
    pool="gpu",
)
@explained
def preference_pairs(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """Preference pairs: SFT samples ranked by a verifier or a judge, followed by the pairs of the alignment data."""
    watch = Stopwatch()
    data, config = home.artifact("alignment_data"), config_of(context, PairsConfig)
    paths = {
        "model": home.target("sft_model"),
        "tokenizer": home.target("tokenizer"),
        "problems": data.file(PROBLEMS),
        "preferences": data.file(PREFERENCES),
        "output": home.target("preference_pairs"),
        **({"instructions": data.file(INSTRUCTIONS)} if config.prompts == "instructions" else {}),
    }
    run_training(context, pipes, "pairs", config, paths)
    artifact = home.artifact("preference_pairs")
    names = {"pairs": PREFERENCES, "comparisons": COMPARISONS}
    shown = {name: _first_rows(artifact.file(file)) for name, file in names.items() if file in artifact.files}
    return result(artifact, watch, {name: plots.table(rows) for name, rows in shown.items()})


def _first_rows(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in islice(stream, _NUM_SAMPLES_SHOWN)]


@dg.asset(
    group_name="alignment",
    deps=[sft_model, tokenizer, preference_pairs, token_shards],
    config_schema=schema_of("dpo_model", DPOConfig),
    pool="gpu",
)
@explained
def dpo_model(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """The model after direct preference optimization (DPO) on pairs of answers."""
    pairs = home.artifact("preference_pairs").file(PREFERENCES)
    return tune(context, home, pipes, "dpo", config_of(context, DPOConfig), base="sft_model", data=pairs)


@dg.asset(
    group_name="alignment",
    deps=[dpo_model, tokenizer, alignment_data, token_shards],
    config_schema=schema_of("grpo_model", GRPOConfig),
    pool="gpu",
)
@explained
def grpo_model(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """The model after group-relative policy optimization (GRPO) on its own verified answers."""
    data = data_of(home, PROBLEMS)
    return tune(context, home, pipes, "grpo", config_of(context, GRPOConfig), base="dpo_model", data=data)


@dg.asset(
    group_name="alignment",
    deps=[pretrained_model, sft_model, dpo_model, grpo_model, tokenizer, token_shards],
    config_schema=schema_of("replay_control", DeviceConfig),
    pool="gpu",
)
@explained
def replay_control(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """Control for the alignment tax: the pre-trained model, trained further on the replay of every stage and nothing
    else.
    """
    watch = Stopwatch()
    paths = {
        "model": home.target("pretrained_model"),
        "stages": {stage: home.target(f"{stage}_model") for stage in STAGES},
        "tokenizer": home.target("tokenizer"),
        "shards": home.target("token_shards"),
        "output": home.target("replay_control"),
    }
    run_training(context, pipes, "control", config_of(context, DeviceConfig), paths)
    artifact = home.artifact("replay_control")
    taxes = {stage: artifact.summary[stage]["tax"] for stage in STAGES}
    numbers = {f"{stage}/tax": dg.MetadataValue.float(plots.rounded(tax)) for stage, tax in taxes.items()}
    chart = plots.bars("Alignment tax", taxes, x="relative increase in bits per byte over the control")
    return result(artifact, watch, {**numbers, "tax": chart})


def _keeps_the_language(stage: str) -> dg.AssetChecksDefinition:
    """Return the check of the alignment tax after one stage."""

    @dg.asset_check(
        asset=replay_control,
        name=f"{stage}_keeps_the_language",
        description=f"Bits per byte after {stage.upper()} are at most {MAX_TAX:.0%} above the replay control.",
    )
    def check(home: LoamHome) -> dg.AssetCheckResult:
        found = home.artifact("replay_control").summary[stage]
        return dg.AssetCheckResult(
            passed=found["tax"] <= MAX_TAX,
            description=f"{found['bits_per_byte']:.4f} bits per byte, {found['tax']:+.2%} relative to the control",
            metadata=figures({**found, "maximum": MAX_TAX}),
        )

    return check


language_checks = [_keeps_the_language(stage) for stage in STAGES]


@dg.asset_check(asset=sft_model, description=f"At least {MIN_WELL_FORMED:.0%} of held-out answers are well-formed.")
def sft_answers_are_well_formed(home: LoamHome) -> dg.AssetCheckResult:
    """Greedy answers to held-out instructions end in `#### <number>` and an end-of-turn token."""
    found = home.artifact("sft_model").summary.get("greedy")
    if found is None:  # instructions of another kind, whose responses end in no such line
        return dg.AssetCheckResult(passed=True, metadata={"answerable_instructions": 0})
    rate = found["well_formed_rate"]
    return dg.AssetCheckResult(
        passed=rate >= MIN_WELL_FORMED,
        description=f"{rate:.1%} of the held-out answers are well-formed",
        metadata=figures({"well_formed_rate": rate, "minimum": MIN_WELL_FORMED}),
    )


@dg.asset_check(
    asset=dpo_model, description=f"The chosen answer is preferred in at least {MIN_PREFERRED:.0%} of held-out pairs."
)
def dpo_prefers_the_chosen_answer(home: LoamHome) -> dg.AssetCheckResult:
    """The implicit reward of the chosen answer is above that of the rejected one."""
    rates = home.artifact("dpo_model").summary["preference"]["after"]
    return dg.AssetCheckResult(
        passed=rates["reward_accuracy"] >= MIN_PREFERRED,
        description=f"the chosen answer is preferred in {rates['reward_accuracy']:.1%} of the held-out pairs",
        metadata=figures({**rates, "minimum": MIN_PREFERRED}),
    )


def data_of(home: LoamHome, name: str) -> Path:
    """Return one of the files of the alignment data."""
    return home.artifact("alignment_data").file(name)


def tune(
    context: dg.AssetExecutionContext,
    home: LoamHome,
    pipes: dg.PipesSubprocessClient,
    stage: str,
    config: TuningConfig,
    *,
    base: str,
    data: Path,
) -> dg.MaterializeResult[Any]:
    """Tune the model of asset `base` on one file of data; return the result with curves and samples."""
    watch = Stopwatch()
    paths = {
        "model": home.target(base),
        "tokenizer": home.target("tokenizer"),
        data.stem: data,
        "output": home.target(f"{stage}_model"),
        **({"shards": home.target("token_shards")} if config.replay_windows else {}),
    }
    run_training(context, pipes, stage, config, paths)
    artifact = home.artifact(f"{stage}_model")
    return result(artifact, watch, _tuning_plots(artifact))


def _tuning_plots(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    """Return the curves of the steps' measurements, and the first held-out answers."""
    rows = metrics(artifact)
    shown = [name for name in ("loss", "reward", "verified_rate", "reward_margin") if name in rows[0]]
    curves: dict[str, dg.MetadataValue[Any]] = {
        name: plots.lines(name, {name: ([r["step"] for r in rows], [r[name] for r in rows])}, x="step", y=name)
        for name in shown
    }
    if validated := [row for row in rows if "validation_reward" in row]:
        points = ([row["step"] for row in validated], [row["validation_reward"] for row in validated])
        curves["validation_reward"] = plots.lines("validation reward", {"greedy": points}, x="step", y="reward")
    samples = rows_of(artifact.file(GENERATIONS))
    inline = {f"{name}_curve": inline_curve(rows, name) for name in shown[-1:]}
    return {**inline, **curves, "samples": plots.table(_right_and_wrong(samples))}


def _right_and_wrong(samples: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the first right answers of a generation log, then the first wrong ones."""
    apart = [[row for row in samples if row["verified"] is verified] for verified in (True, False)]
    return [row for rows in apart for row in rows[: _NUM_SAMPLES_SHOWN // 2]]
