"""Offline language identifiers: accuracy, speed and size, on sentences and on texts of 500 characters.

The input is `language/sentences.tsv.gz` (ISO 639-1 code, tab, sentence) below `LOAM_SHARED_DATA`. A language that a
candidate does not support counts as wrong: the default has to cover all languages of a crawl. Without the file, and for
candidates that are not installed, a row reads "not measured".
"""

from __future__ import annotations

import functools
import gzip
import random
import statistics
import time
from collections import defaultdict
from pathlib import Path

from benchmarks.language_candidates import CANDIDATES, Candidate, Identify, iso_639_1
from benchmarks.report import Row, finish, parser, timed
from benchmarks.shared_data import shared_data
from lm.errors import run_command
from lm.progress import track

SENTENCES = Path("language") / "sentences.tsv.gz"
TEXT_CHARACTERS = 500
MIN_ACCURACY = 0.95
WESTERN = ("de", "en", "es", "fr", "it", "nl", "pt")
MIB = 2**20

Labelled = list[tuple[str, str]]


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("language", (__doc__ or "").strip())
    options.add_argument("--per-language", type=int, default=60, metavar="N", help="sentences of each (default: 60)")
    options.add_argument("--repeats", type=int, default=3, metavar="N", help="timings of each candidate (default: 3)")
    arguments = options.parse_args(argv)
    path = shared_data() / SENTENCES
    sentences, texts = samples(path, arguments.per_language) if path.is_file() else ([], [])
    installed = [candidate for candidate in CANDIDATES if candidate.is_installed and sentences]
    opened = {each.name: each.open() for each in track(installed, "load", unit="model")}
    seconds = speeds(opened, texts, arguments.repeats)
    rows = [row for each in CANDIDATES for row in rows_of(each, opened.get(each.name), sentences, texts, seconds)]
    return finish("language", rows, arguments)


def samples(path: Path, per_language: int) -> tuple[Labelled, Labelled]:
    """Return sentences of each language, and a third as many texts of `TEXT_CHARACTERS`, drawn with one seed."""
    by_language = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            code, sentence = line.rstrip("\n").split("\t", 1)
            by_language[code].append(sentence)
    sentences, texts = [], []
    for code in sorted(by_language):
        found = random.Random(code).sample(by_language[code], len(by_language[code]))
        sentences += [(code, sentence) for sentence in found[:per_language]]
        texts += [(code, text) for text in long_texts(found)[: per_language // 3]]
    return sentences, texts


def long_texts(sentences: list[str]) -> list[str]:
    """Return consecutive sentences joined and cut at `TEXT_CHARACTERS`; no sentence is in two texts."""
    texts, current = [], ""
    for sentence in sentences:
        current = f"{current} {sentence}".strip()
        if len(current) >= TEXT_CHARACTERS:
            texts.append(current[:TEXT_CHARACTERS])
            current = ""
    return texts


def accuracy(identify: Identify, labelled: Labelled) -> float:
    """Return the share of texts with the correct language."""
    return sum(iso_639_1(identify(text)) == code for code, text in labelled) / len(labelled)


def speeds(opened: dict[str, Identify], texts: Labelled, repeats: int) -> dict[str, float]:
    """Return the median seconds of each identifier for all texts, measured in turns."""
    found = defaultdict(list)
    for _ in track(range(repeats), "time", unit="round"):
        for name, identify in opened.items():
            found[name].append(timed(functools.partial(run, identify, texts), time.process_time))
    return {name: statistics.median(times) for name, times in found.items()}


def run(identify: Identify, texts: Labelled) -> None:
    """Identify every text."""
    for _, text in texts:
        identify(text)


def rows_of(
    candidate: Candidate, identify: Identify | None, sentences: Labelled, texts: Labelled, seconds: dict[str, float]
) -> list[Row]:
    """Return the rows of one candidate; only the default has targets."""
    name = candidate.name
    target = MIN_ACCURACY if name == CANDIDATES[0].name else None
    measured = identify is not None
    western = [row for row in sentences if row[0] in WESTERN]
    speed = len(texts) / seconds[name] if measured else None
    return [
        Row(name=f"{name}: sentences", value=accuracy(identify, sentences) if identify else None, unit="right"),
        Row(
            name=f"{name}: sentences, {len(WESTERN)} western",
            value=accuracy(identify, western) if identify else None,
            unit="right",
        ),
        Row(
            name=f"{name}: {TEXT_CHARACTERS} characters",
            value=accuracy(identify, texts) if identify else None,
            unit="right",
            target=target,
        ),
        Row(name=f"{name}: speed", value=speed, unit="docs/s"),
        Row(name=f"{name}: install size", value=candidate.size_bytes / MIB if measured else None, unit="MiB"),
    ]


if __name__ == "__main__":
    run_command(main)
