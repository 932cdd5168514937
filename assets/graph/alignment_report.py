"""The report over seeds: the evaluation reports of several finished homes, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import dagster as dg

from assets.graph.alignment import MAX_TAX
from assets.graph.evaluation import MIN_GRPO_GAIN, PLOTTED, evaluation_report
from assets.support import plots
from assets.support.checks import WARN, figures
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, result
from lm.alignment.seed_report import PAGE, write_seed_report
from lm.configuration import Doc, settle
from lm.locations import locate
from lm.storage import Artifact
from pipelines import paths


@dataclass(frozen=True, kw_only=True)
class SeedsConfig:
    """The runs that the report over seeds compares."""

    homes: Annotated[
        tuple[str, ...],
        Doc("Homes of finished runs with other seeds, such as `python -m assets.demo --home … --seed …`."),
    ] = ()
    with_own: Annotated[bool, Doc("Include the evaluation report of this home, as the first run.")] = True

    def __post_init__(self) -> None:
        settle(self, "alignment_report")


@dg.asset(group_name="experiments", deps=[evaluation_report], config_schema=schema_of("alignment_report", SeedsConfig))
@explained
def alignment_report(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """Every stage over several seeds: the mean and spread of each figure of the evaluation report."""
    watch, config = Stopwatch(), config_of(context, SeedsConfig)
    roots = [*([home.root] if config.with_own else []), *(locate(each) for each in config.homes)]
    reports = [paths.artifact_path("evaluation_report", root=root) for root in roots]
    artifact = write_seed_report(reports, home.target("alignment_report"))
    page = dg.MetadataValue.md(artifact.file(PAGE).read_text())
    shown = {**_numbers(artifact), **_plots(artifact), "report": page}
    return result(artifact, watch, shown, without=("stages", "gains"))


def _plots(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    """Return one chart a figure: the mean of each stage with its deviation, and every run as a dot."""
    stages = _stages(artifact)
    drawn: dict[str, dg.MetadataValue[Any]] = {}
    for name in dict.fromkeys(name for found in stages.values() for name in found):
        title, unit = PLOTTED.get(name, (name.replace("_", " ").capitalize(), ""))
        entries = {stage: found[name] for stage, found in stages.items() if name in found}
        drawn[name] = plots.spreads(title, entries, y=unit)
    return drawn


def _stages(artifact: Artifact) -> dict[str, Mapping[str, Any]]:
    return {each["stage"]: each["figures"] for each in artifact.summary["stages"]}


def _numbers(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    gain = _grpo_gain(artifact)
    return {
        "num_runs": dg.MetadataValue.int(artifact.summary["num_runs"]),
        "grpo/gain": dg.MetadataValue.float(plots.rounded(gain["mean"])),
        "grpo/gain_deviation": dg.MetadataValue.float(plots.rounded(gain["deviation"])),
    }


def _grpo_gain(artifact: Artifact) -> Mapping[str, Any]:
    gains: list[Mapping[str, Any]] = artifact.summary["gains"]
    return next(each for each in gains if (each["from"], each["to"]) == ("sft", "grpo"))


@dg.asset_check(
    asset=alignment_report,
    description=f"In every run GRPO gains at least {MIN_GRPO_GAIN * 100:.0f} points over SFT, and no stage's tax is "
    f"above {MAX_TAX:.0%}.",
)
def alignment_holds_over_seeds(home: LoamHome) -> dg.AssetCheckResult:
    """The worst run decides: the smallest gain, and the largest tax of any stage."""
    artifact = home.artifact("alignment_report")
    gain = _grpo_gain(artifact)
    taxes = {name: found["tax"]["most"] for name, found in _stages(artifact).items() if "tax" in found}
    least, worst = round(gain["least"], 6), max(taxes.values(), default=0.0)
    return dg.AssetCheckResult(
        passed=least >= MIN_GRPO_GAIN and worst <= MAX_TAX,
        severity=WARN,
        description=f"{artifact.summary['num_runs']} runs: {gain['mean'] * 100:+.1f} ± {gain['deviation'] * 100:.1f} "
        f"points over SFT, at least {least * 100:+.1f}; the largest tax is {worst:+.2%}",
        metadata=figures(
            {"least_gain": least, "mean_gain": gain["mean"], "deviation": gain["deviation"], "largest_tax": worst}
        ),
    )
