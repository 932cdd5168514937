"""Systems report: rates, kernels, attention and ranks, as this machine measures them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.support import plots
from assets.support.checks import WARN
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.processes import run_training
from assets.support.resources import LoamHome
from assets.support.results import Plots, Stopwatch, result
from lm.systems.config import SystemsConfig

_CHECK = "measurements_are_sound"

Row = Mapping[str, Any]


@dg.asset(
    group_name="experiments",
    config_schema=schema_of("systems_report", SystemsConfig),
    check_specs=[
        dg.AssetCheckSpec(
            _CHECK,
            asset="systems_report",
            description="Every figure is positive and finite, and each rank of a sharded optimizer holds about its "
            "share of the state.",
        )
    ],
    pool="gpu",
)
@explained
def systems_report(
    context: dg.AssetExecutionContext, home: LoamHome, pipes: dg.PipesSubprocessClient
) -> dg.MaterializeResult[Any]:
    """Benchmarks of this machine, repeated at every materialization: bandwidth, matmul rate, kernels, attention by
    context length, multi-rank training.
    """
    watch, config = Stopwatch(), config_of(context, SystemsConfig)
    run_training(context, pipes, "systems", config, {"output": home.target("systems_report")})
    artifact = home.artifact("systems_report")
    found = json.loads(artifact.file("systems.json").read_text())
    return result(artifact, watch, _shown(found["rows"]), [_soundness(found["faults"], len(found["rows"]))])


def _soundness(faults: Sequence[str], num_rows: int) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=_CHECK,
        passed=not faults,
        severity=WARN,
        description="; ".join(faults) if faults else f"{num_rows} figures, all positive and finite",
        metadata={"num_rows": num_rows, "num_faults": len(faults)},
    )


def _shown(rows: Sequence[Row]) -> Plots:
    """Return a table a section, and the charts of what was measured over a range."""
    sections = dict.fromkeys(row["section"] for row in rows)
    tables = {section.replace(" ", "_").replace("'", ""): _table(rows, section) for section in sections}
    charts = {
        "attention_by_context": _curves("Attention by context length", rows, "context", "tokens", "GFLOP/s"),
        "kernels_of_copy": plots.bars(
            "Bandwidth of kernels", _values(rows, "kernels"), x="share of the rate of a copy"
        ),
    }
    if "steps" in sections:
        charts["all_reduce_by_size"] = _curves("All-reduce by size", rows, "size_mb", "MB", "GB/s per rank")
        charts["steps_of_ranks"] = plots.bars("Time of a step, by strategy", _values(rows, "steps"), x="ms")
    return {**charts, **tables}


def _table(rows: Sequence[Row], section: str) -> dg.MetadataValue[Any]:
    columns = ("name", "value", "unit", "beside")
    own = [{name: row[name] for name in columns} for row in rows if row["section"] == section]
    return plots.table([{**row, "value": plots.rounded(row["value"])} for row in own])


def _values(rows: Sequence[Row], section: str) -> dict[str, float]:
    return {row["name"]: row["value"] for row in rows if row["section"] == section}


def _curves(title: str, rows: Sequence[Row], over: str, x: str, y: str) -> dg.MetadataValue[Any]:
    """Draw the rows that have `over`, a curve for each `curve`."""
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for row in rows:
        if over in row:
            xs, ys = curves.setdefault(row["curve"], ([], []))
            xs.append(row[over])
            ys.append(row["value"])
    return plots.lines(title, curves, x=x, y=y)
