"""The whole chain on the built-in crawl, for several seeds: seconds, peak memory, the models' scores, and their spread.

With `--homes FOLDER` the homes stay there, as `seed-N`, for the asset `alignment_report`.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow.compute as pc

from assets.automation.demo_run import demo_partitions
from assets.support.summary import summary_lines
from benchmarks.report import Row, finish, parser
from lm.alignment.seed_report import write_seed_report
from lm.errors import InputError, run_command
from lm.progress import track
from lm.storage import open_artifact
from pipelines import paths
from pipelines.curation.steps import CORPUS
from pipelines.documents.view import read_documents
from pipelines.trace.text import render
from pipelines.trace.trace import trace

MAX_SECONDS = 600
MAX_MEMORY_GIB = 6
MIN_RATE = 0.9
MIN_GAIN = 0.2
MAX_TAX = 0.02
GIB = 2**30
_SPREAD = (
    "greedy_verified_rate",
    "greedy_well_formed_rate",
    "response_tokens",
    "kl_from_first",
    "bits_per_byte",
    "tax",
    "win_rate",
)
"""Figures of a stage whose mean over the seeds is a row."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("demo", (__doc__ or "").strip())
    options.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of crawl and training (default: 0 1 2)"
    )
    options.add_argument("--homes", type=Path, metavar="FOLDER", help="keep the home of every seed in this folder")
    arguments = options.parse_args(argv)
    rows: list[Row] = []
    shown: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as temporary:
        homes = arguments.homes or Path(temporary)
        for seed in arguments.seeds:
            if (homes / f"seed-{seed}").exists():
                raise InputError(f"{homes / f'seed-{seed}'}: exists, expected a new home, since what is made is timed")
        for seed in track(arguments.seeds, "demo", unit="seed"):
            measured, texts = measure(seed, homes / f"seed-{seed}")
            rows += measured
            shown.append(texts)
        rows += over_seeds([homes / f"seed-{seed}" for seed in arguments.seeds], Path(temporary) / "report")
    return finish("demo", rows, arguments, **shown[0])


def over_seeds(homes: Sequence[Path], output: Path) -> list[Row]:
    """Return rows of means and standard deviations over the seeds; none for a single seed."""
    if len(homes) < 2:
        return []
    reports = [paths.artifact_path("evaluation_report", root=home) for home in homes]
    facts = write_seed_report(reports, output).summary
    rows = [
        Row(
            name=f"all seeds: {each['stage'].upper()} {name.replace('_', ' ')}",
            value=entry["mean"],
            unit=f"± {entry['deviation']:.2g}",
        )
        for each in facts["stages"]
        for name, entry in each["figures"].items()
        if name in _SPREAD
    ]
    return rows + [
        Row(
            name=f"all seeds: gain from {each['from'].upper()} to {each['to'].upper()}",
            value=each["mean"],
            unit=f"± {each['deviation']:.2g}",
        )
        for each in facts["gains"]
    ]


def measure(seed: int, home: Path) -> tuple[list[Row], dict[str, str]]:
    """Return the rows of one seed in its own home, the demo's summary tables, and the trace of a document."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "DAGSTER_HOME": str(Path(folder) / "dagster"), "LOAM_HOME": str(home)}
        command = [sys.executable, "-m", "assets.demo", "--seed", str(seed)]
        start = time.monotonic()
        ended = subprocess.run(command, env=environment, stdout=sys.stderr, check=False)
        seconds = time.monotonic() - start
        # The largest of all children so far; processes of one chain run one after the other.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        rows = [
            Row(name=f"seed {seed}: all checks passed", value=float(ended.returncode == 0), unit="", target=1),
            Row(name=f"seed {seed}: the whole chain", value=seconds, unit="s", target=MAX_SECONDS, better="lower"),
            Row(
                name=f"seed {seed}: largest process",
                value=peak / GIB,
                unit="GiB",
                target=MAX_MEMORY_GIB,
                better="lower",
            ),
            *_learned(seed, home),
        ]
        texts = {"summary": "\n".join(summary_lines(home, demo_partitions())[1:-2]), "trace": _trace(home)}
        return rows, texts


def _trace(home: Path) -> str:
    """Return the trace of the first training document with masked personal data."""
    corpus = open_artifact(paths.artifact_path(CORPUS, root=home))
    masked = (
        batch.filter(pc.greater(batch.column("num_pii"), 1)) for batch in read_documents(corpus, ["url", "num_pii"])
    )
    urls = (url for batch in masked for url in batch.column("url").to_pylist())
    traces = (trace(url, home)[0] for url in urls)
    return render(asdict(next(each for each in traces if each.training)))


def _learned(seed: int, home: Path) -> list[Row]:
    stages = open_artifact(paths.artifact_path("evaluation_report", root=home)).summary
    ngram = open_artifact(paths.artifact_path("ngram_baseline", root=home)).summary["bits_per_byte"]
    sft = open_artifact(paths.artifact_path("sft_model", root=home)).summary
    dpo = open_artifact(paths.artifact_path("dpo_model", root=home)).summary
    bits = stages["pretrained"]["bits_per_byte"]
    names = ("sft", "dpo", "grpo")
    verified = {stage: stages[stage]["greedy_verified_rate"] for stage in names}
    found = next(each for each in stages["gains"] if (each["from"], each["to"]) == ("sft", "grpo"))
    return [
        Row(
            name=f"seed {seed}: bits per byte",
            value=bits,
            unit="bits",
            peer=f"3-gram {ngram:.3f}",
            ratio=bits / ngram,
            target=1,
            better="lower",
        ),
        Row(name=f"seed {seed}: SFT well-formed", value=sft["greedy"]["well_formed_rate"], unit="", target=MIN_RATE),
        Row(
            name=f"seed {seed}: DPO prefers the chosen",
            value=dpo["preference"]["after"]["reward_accuracy"],
            unit="",
            target=MIN_RATE,
        ),
        *(
            Row(
                name=f"seed {seed}: {stage.upper()} tax",
                value=stages[stage]["tax"],
                unit="of control",
                target=MAX_TAX,
                better="lower",
            )
            for stage in names
        ),
        *(
            Row(
                name=f"seed {seed}: {stage.upper()} verified",
                value=rate,
                unit=f"± {stages[stage]['greedy_standard_error']:.3f}",
            )
            for stage, rate in verified.items()
        ),
        Row(
            name=f"seed {seed}: GRPO over SFT",
            value=found["gain"],
            unit=f"± {found['standard_error']:.3f}",
            target=MIN_GAIN,
        ),
        Row(name=f"seed {seed}: errors removed by GRPO", value=found["error_removed"], unit=""),
        Row(
            name=f"seed {seed}: GRPO well-formed",
            value=stages["grpo"]["greedy_well_formed_rate"],
            unit="",
            target=MIN_RATE,
        ),
    ]


if __name__ == "__main__":
    run_command(main)
