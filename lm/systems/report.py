"""The systems report: what this machine measured, with the cost model beside the ranks, as an artifact.

`systems.json` has the rows `section, name, value, unit, beside`; `report.md` has them as tables. A report is a
measurement: every materialization measures anew, and machine and date stand in it.
"""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from lm import storage
from lm.accounting import training_flops_per_token
from lm.accounting.parallelism import Strategy, step_time
from lm.accounting.throughput import measured_copy_bytes_per_s, measured_matmul_flops, peak_flops
from lm.code_version import code_digest
from lm.configuration import to_mapping
from lm.model.precision import choose_device, default_type
from lm.model.presets import preset
from lm.progress import track
from lm.storage import Artifact, Publication
from lm.systems.config import SystemsConfig
from lm.systems.kernels import attention_flops_per_s, kernels
from lm.systems.ranks import LOCAL, measured_ranks
from lm.systems.timing import timed_on
from lm.training.metrics import Report

TABLE, PAGE = "systems.json", "report.md"
_MODELLED: Mapping[Strategy, str] = {"ddp": "bucketed", "zero1": "zero1", "fsdp": "fsdp"}
_MB = 1e6

Row = dict[str, Any]


def write_systems_report(config: SystemsConfig, *, output: Path, report: Report) -> Artifact:
    """Measure this machine and publish the rows at `output`.

    Raises:
        ConfigurationError: no such device.
    """
    device = choose_device(config.device)

    def write(publication: Publication) -> None:
        rows = []
        for row in measured(config, device):
            report({"message": f"{row['section']}: {row['name']} {row['value']:.4g} {row['unit']}"})
            rows.append(row)
        machine = _machine(device)
        found = {"machine": machine, "rows": rows, "faults": faults(rows, config.num_ranks)}
        storage.write_json(publication.path / TABLE, found)
        (publication.path / PAGE).write_text(page(machine, rows), encoding="utf-8")
        publication.summary.update(num_rows=len(rows), **machine)

    code = code_digest(write)
    with storage.publish(output, kind="systems_report", config=to_mapping(config), inputs={}, code=code) as publication:
        write(publication)
    return publication.artifact


def measured(config: SystemsConfig, device: torch.device) -> Iterator[Row]:
    """Yield the rows of all sections as they are measured."""
    copied, product = measured_copy_bytes_per_s(device), measured_matmul_flops(device)
    sheet = peak_flops(device)
    yield _row("machine", "copy", copied / 1e9, "GB/s")
    beside = "" if sheet is None else f"{product / sheet:.2f} of the data sheet's {sheet / 1e12:.0f} TFLOP/s"
    yield _row("machine", f"product, {default_type(device)}".replace("torch.", ""), product / 1e9, "GFLOP/s", beside)
    for kernel in track(list(kernels(config, device)), "kernels", unit="kernel"):
        seconds = timed_on(device, kernel.call, seconds=config.seconds).median
        yield _row("kernels", kernel.name, kernel.num_bytes / seconds / copied, "of copy", f"{1e6 * seconds:.0f} µs")
    for context in track(config.contexts, "attention", unit="context"):
        for name, flops in attention_flops_per_s(config, device, context).items():
            share = f"{flops / product:.2f} of the matrix product's rate"
            row = _row("attention", f"{name}, context {context}", flops / 1e9, "GFLOP/s", share)
            yield {**row, "curve": name, "context": context}
    if config.num_ranks > 1:
        yield from _rank_rows(config)


def _rank_rows(config: SystemsConfig) -> Iterator[Row]:
    ranks = config.num_ranks
    found = measured_ranks(ranks, config.sizes_mb, config.preset)
    bandwidths = {size: 2 * (ranks - 1) / ranks * size * _MB / s for size, s in found["all_reduce"].items()}
    for size, bandwidth in bandwidths.items():
        row = _row("all-reduce", f"{size} MB over {ranks} ranks", bandwidth / 1e9, "GB/s per rank")
        yield {**row, "curve": "all-reduce", "size_mb": size}
    local = found["seconds"][LOCAL]
    modelled = _model_seconds(config, found, bandwidths[max(bandwidths)])
    for name, seconds in found["seconds"].items():
        share = f"communication {max(0.0, 1 - local / seconds):.0%}"
        model = f"; cost model {1e3 * modelled[name]:.4g} ms" if name in modelled else ""
        yield _row("steps", name, 1e3 * seconds, "ms", "" if name == LOCAL else share + model)
    for name, sizes in found["state"].items():
        yield _row("optimizer's state", name, sizes["after"] / _MB, "MB per rank")


def _model_seconds(config: SystemsConfig, found: Mapping[str, Any], bandwidth: float) -> dict[str, float]:
    """Return the cost model's steps by the name of the measured variant, at the rates that were measured here."""
    shape = preset(config.preset)
    rate = found["tokens"] * training_flops_per_token(shape) / found["seconds"][LOCAL]
    return {
        variant: step_time(
            shape,
            strategy,
            tokens_per_rank=found["tokens"],
            num_ranks=config.num_ranks,
            flops_per_s=rate,
            bytes_per_s=bandwidth,
        ).total_s
        for strategy, variant in _MODELLED.items()
    }


def faults(rows: list[Row], num_ranks: int) -> list[str]:
    """Name figures that are not above 0, and sharded optimizers with more than their share of the state.

    ZeRO-1 cuts no weight, so a rank may keep half a share more.
    """
    found = [f"{row['section']}, {row['name']}: {row['value']}" for row in rows if not 0 < row["value"] < float("inf")]
    state = {row["name"]: row["value"] for row in rows if row["section"] == "optimizer's state"}
    if state:
        for name in ("zero1", "fsdp"):
            if state[name] > 1.5 * state[LOCAL] / num_ranks:
                found.append(f"optimizer's state of {name}: {state[name]:.3g} MB of {state[LOCAL]:.3g}")
    return found


def page(machine: Mapping[str, Any], rows: list[Row]) -> str:
    """Return the rows as Markdown, a table a section."""
    lines = ["# Systems report", "", ", ".join(f"{name} {value}" for name, value in machine.items())]
    for section in dict.fromkeys(row["section"] for row in rows):
        lines += ["", f"## {section.capitalize()}", "", "| | value | unit | |", "|---|--:|---|---|"]
        own = [row for row in rows if row["section"] == section]
        lines += [f"| {row['name']} | {row['value']:.4g} | {row['unit']} | {row['beside']} |" for row in own]
    return "\n".join(lines) + "\n"


def _row(section: str, name: str, value: float, unit: str, beside: str = "") -> Row:
    return {"section": section, "name": name, "value": value, "unit": unit, "beside": beside}


def _machine(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
