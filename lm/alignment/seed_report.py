"""The report over seeds: the evaluation reports of several finished runs, as means with their spread.

`seeds.json` has for every figure of every stage, and for every gain between two stages, the mean over the runs, the
sample standard deviation (n − 1), the smallest and the largest value, and all values in the order of the runs. A run
has its own corpus, problems and models, so the spread is that of everything that the seed draws; the standard errors
within a run are those of its own problems alone. `report.md` has the same to read. No torch here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from lm.alignment.report_page import escape, table
from lm.artifact import Artifact
from lm.errors import InputError
from lm.storage import Publication, make, open_artifact, write_json

KIND = "alignment_report"
SEEDS, PAGE = "seeds.json", "report.md"


def write_seed_report(reports: Sequence[Path], output: Path) -> Artifact:
    """Compare the evaluation reports at `reports`, one of each run, and publish the comparison at `output`.

    The summary is the content of `seeds.json`.

    Raises:
        InputError: fewer than two reports, the same one twice, or reports of different stages.
    """
    found = [open_artifact(path, kind="evaluation_report") for path in reports]
    if len(found) < 2:
        raise InputError(f"reports: {len(found)}, expected reports of at least 2 runs")
    for index, each in enumerate(found):
        if each.digest in (other.digest for other in found[:index]):
            raise InputError(f"{each.path}: duplicate of another report, expected runs with different seeds")
        if _stages(each) != _stages(found[0]):
            raise InputError(
                f"{each.path}: stages {', '.join(_stages(each))}; expected {', '.join(_stages(found[0]))} as in "
                f"{found[0].path}"
            )

    def write(publication: Publication) -> None:
        facts = compared(_stages(found[0]), [each.summary for each in found])
        write_json(publication.path / SEEDS, facts)
        (publication.path / PAGE).write_text(render(facts), encoding="utf-8")
        publication.summary.update(facts)

    inputs = {f"run {number}": each.digest for number, each in enumerate(found, start=1)}
    return make(output, write, kind=KIND, config={}, inputs=inputs)


def compared(stages: Sequence[str], summaries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return `num_runs`, `stages` and `gains` of the summaries of evaluation reports with these stages.

    A figure that some run lacks is left out.
    """
    figures = {name: sorted({key for each in summaries for key in each[name]}) for name in stages}
    gains = [{(row["from"], row["to"]): row["gain"] for row in each["gains"]} for each in summaries]
    return {
        "num_runs": len(summaries),
        "stages": [
            {
                "stage": name,
                "figures": {
                    figure: spread([each[name][figure] for each in summaries])
                    for figure in figures[name]
                    if all(_is_number(each[name].get(figure)) for each in summaries)
                },
            }
            for name in stages
        ],
        "gains": [
            {"from": pair[0], "to": pair[1], **spread([each[pair] for each in gains])}
            for pair in gains[0]
            if all(pair in each for each in gains)
        ],
    }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Return mean, sample standard deviation, least, most, and the values."""
    return {
        "mean": fmean(values),
        "deviation": stdev(values),
        "least": min(values),
        "most": max(values),
        "values": list(values),
    }


def render(facts: Mapping[str, Any]) -> str:
    """Return the page for `seeds.json`."""
    stages = {each["stage"]: each["figures"] for each in facts["stages"]}
    figures = list(dict.fromkeys(name for each in stages.values() for name in each))
    rows = [
        [escape(name.replace("_", " ")), *(_cell(each[name]) if name in each else "–" for each in stages.values())]
        for name in figures
    ]
    gains = [
        [escape(f"{each['from']} → {each['to']}"), _cell(each), *(f"{value:.4g}" for value in each["values"])]
        for each in facts["gains"]
    ]
    runs = [f"run {number}" for number in range(1, facts["num_runs"] + 1)]
    parts = [
        "# Alignment over seeds",
        f"{facts['num_runs']} runs, each with its own seed of corpus, problems and training. Mean ± sample standard "
        "deviation over the runs.",
        table(["figure", *map(escape, stages)], rows),
        "## Gains in verified answers",
        table(["from → to", "mean", *runs], gains),
    ]
    return "\n\n".join(parts) + "\n"


def _cell(entry: Mapping[str, Any]) -> str:
    return f"{entry['mean']:.4g} ± {entry['deviation']:.2g}"


def _stages(report: Artifact) -> list[str]:
    """Return the stages of a report in their order."""
    return [str(row["stage"]) for row in json.loads(report.file("report.json").read_bytes())["stages"]]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
