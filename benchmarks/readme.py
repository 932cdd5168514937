"""`python -m benchmarks.readme`: write the README's figures from the recorded results.

A generated block of the README lies between `<!-- NAME -->` and `<!-- end of NAME -->`. `--check` exits 1 if a block
differs from the recorded results.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS
from lm.errors import InputError, run_command

README = Path(__file__).parent.parent / "README.md"

SHOWN = "demo_seed_0"
"""The result file whose tables and trace the README shows: `python -m benchmarks.demo --seeds 0`."""

PEERS = (
    ("encode web text", "tokenizer", "crawl: encode to arrays, one core", ("tiktoken", "tokenizers", "gigatoken")),
    ("train a 32,000-token tokenizer", "tokenizer", "crawl: train 32,000, one core", ("Hugging Face", "rustbpe")),
    ("MinHash signatures", "minhash", "datasketch from the same text", ("loam over datasketch",)),
    ("MinHash signatures", "minhash", "rensa from the same text", ("loam over rensa",)),
    ("main-text extraction", "extraction", "text of a page", ("trafilatura",)),
    ("full curation (the peer only filters)", "curation", "the whole curation, other filters", ("datatrove",)),
    ("full curation (the peer only parses)", "curation", "the whole curation", ("bare loop",)),
    ("WARC reading, digests checked", "warc_reading", "gzip, records read and checked", ("fastwarc",)),
)
"""The rows of the table of peers: label, result file, row name, and the prefixes of the peers' names."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.readme", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a block is out of date")
    arguments = parser.parse_args(argv)
    before = README.read_text("utf-8")
    after = written(before)
    if not arguments.check:
        README.write_text(after, "utf-8")
    return int(arguments.check and before != after)


def written(text: str) -> str:
    """Return the README's text with all generated blocks replaced.

    Raises:
        InputError: a block is missing.
    """
    for name, make in BLOCKS.items():
        block = re.search(rf"<!-- {name} -->\n(.*?)<!-- end of {name} -->", text, re.DOTALL)
        if block is None:
            raise InputError(f"{README.name}: has no block '{name}'")
        text = f"{text[: block.start(1)]}{make()}\n{text[block.end(1) :]}"
    return text


def peers() -> str:
    """Return the table of ratios to each peer, from one run on the same input."""
    lines = ["| | Loam | against | ratio |", "|---|--:|---|--:|"]
    for words, subject, row_name, names in PEERS:
        for name in names:
            row = _row(subject, row_name, name)
            peer = row["peer"].removeprefix("ratio: loam over ").split(":")[0]
            own = _figure(row) if "loam over" not in row["peer"] else ""
            lines.append(f"| {words} | {own} | {peer} | {row['ratio']:.2g}× |")
    return "\n".join(lines)


def cost() -> str:
    """Return sentences: minutes and memory of the demo; packages and disk of the setup."""
    rows = _results(SHOWN)["rows"]
    seconds = [row["value"] for row in rows if row["name"].endswith("the whole chain")]
    memory = [row["value"] for row in rows if row["name"].endswith("largest process")]
    facts = _results(SHOWN)
    machine = f"{facts['machine']['cores']} cores ({facts['machine']['processor']})"
    return (
        f"After setup, `make demo` takes {max(seconds) / 60:.0f} minutes on {machine}; its largest process uses "
        f"{max(memory):.1f} GiB of memory (commit {facts['commit']}, {facts['date']}).\n{_setup_cost()}"
    )


def _setup_cost() -> str:
    if not (RESULTS / "setup.json").exists():
        return "Downloads and disk use of `make setup` are not measured (`python -m benchmarks.setup`)."
    facts = _results("setup")
    values = {row["name"]: row["value"] for row in facts["rows"]}
    packages = values["packages downloaded"] + values["packages read from a local folder"]
    disk = max(value for name, value in values.items() if name.endswith("disk afterwards"))
    return (
        f"`make setup` installs {packages:,.0f} MB of packages, with the CPU build of torch. The clone, the "
        f"environment and the caches then occupy {disk:.1f} GB of disk (commit {facts['commit']}, {facts['date']}). "
        "The GPU build of torch that PyPI serves for Linux is larger; its size is not measured."
    )


def demo() -> str:
    """Return the summary tables of `make demo` for seed 0."""
    facts = _results(SHOWN)
    return f"```\n{facts['summary']}\n```\n\nMeasured at commit {facts['commit']} ({facts['date']}), seed 0."


def trace() -> str:
    """Return the trace of one document of the demo."""
    lines = str(_results(SHOWN)["trace"]).splitlines()
    return "\n".join(["```", f"$ .venv/bin/python -m pipelines.trace {lines[0]}", *lines[1:], "```"])


def scaling() -> str:
    """Return sentences on the accounting, the fits and the predictions of the fitted laws."""
    facts = _results("scaling")
    values = {row["name"]: row["value"] for row in facts["rows"]}

    def most(start: str) -> float:
        return max(value for name, value in values.items() if name.startswith(start))

    inside = min(value for name, value in values.items() if name.startswith("planted laws"))
    flops = f"are within {most('FLOPs'):.2g}% of torch's own count" if most("FLOPs") else "equal torch's own count"
    laws = [row for row in facts["rows"] if row["name"].startswith("own law of") and row["name"].endswith("budget")]
    own = "; on ".join(
        f"{row['name'].removeprefix('own law of ').split(',')[0]} {row['peer'].split(' by ')[0]}, "
        f"{row['peer'].split('), ')[1]}, {row['value']:.2g}% off"
        for row in laws
    )
    return (
        f"The predicted FLOPs of a training step {flops}; the predicted memory is within {most('bytes'):.2g}% of the "
        f"allocations on a CPU. For each parameter, the 95% interval contains the true value in at least {inside:.0f} "
        f"of 100 synthetic fits. Loss at four times the largest budget of twenty training runs, against the mean of "
        f"three seeds: on {own}. Commit {facts['commit']}, {facts['date']}."
    )


BLOCKS: dict[str, Callable[[], str]] = {
    "cost": cost,
    "peers": peers,
    "trace": trace,
    "scaling": scaling,
    "demo": demo,
}


def _results(subject: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{subject}.json").read_text())
    return found


def _row(subject: str, name: str, peer: str) -> dict[str, Any]:
    for row in _results(subject)["rows"]:
        if row["name"] == name and row["peer"].removeprefix("ratio: ").startswith(peer):
            return dict(row)
    raise InputError(f"{subject}.json: has no row '{name}' against {peer}")


def _figure(row: dict[str, Any]) -> str:
    value = row["value"]
    return f"{value:,.0f} {row['unit']}" if value >= 10 else f"{value:.2g} {row['unit']}"


if __name__ == "__main__":
    run_command(main)
