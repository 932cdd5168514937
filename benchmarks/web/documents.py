"""Documents made from every text among the real inputs: pages, prose, articles, problems, tweets, sentences, dialogues.

Short texts are joined to documents of a page's length, and white space at the ends of lines is cut, as extraction does.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pipelines.extract.html import extract_text

Locate = Callable[[str], Path]
"""From a path below the folder of real inputs to where it lies; a test's skips where it is absent."""


def documents(locate: Locate) -> Iterator[tuple[str, str]]:
    """Yield `(source, text)` for every document."""
    for source, texts in SOURCES.items():
        for text in texts(locate):
            stripped = "\n".join(line.rstrip() for line in text.split("\n")).strip()
            if stripped:
                yield source, stripped


def _pages(locate: Locate) -> Iterator[str]:
    for path in sorted(locate("html_truth/html").glob("*.html.gz")):
        yield extract_text(gzip.decompress(path.read_bytes())) or ""


def _true_articles(locate: Locate) -> Iterator[str]:
    truth = json.loads(locate("html_truth/ground_truth.json").read_text())
    for name in sorted(truth):
        yield truth[name]["articleBody"]


def _prose(locate: Locate) -> Iterator[str]:
    for row in _json_lines(locate("prose/public_domain.jsonl.gz")):
        yield row["text"]


def _wikipedia(locate: Locate) -> list[str]:
    with gzip.open(locate("prose/wikitext2_valid.txt.gz"), "rt", encoding="utf-8") as file:
        return re.split(r"\n(?= = [^=])", file.read())


def _articles(locate: Locate) -> Iterator[str]:
    for line in locate("duplicates/articles_2500.train").read_text(encoding="utf-8").splitlines():
        yield line.partition(" ")[2]  # the first word is the id


def _problems(locate: Locate) -> Iterator[str]:
    rows = itertools.chain.from_iterable(_json_lines(locate(f"gsm8k/{part}.jsonl")) for part in ("train", "test"))
    return _joined((f"{row['question']}\n{row['answer']}" for row in rows), 5, "\n\n")


def _tweets(locate: Locate) -> Iterator[str]:
    with locate("toxicity/davidson_2017.csv").open(encoding="utf-8", newline="") as file:
        yield from _joined((row["tweet"] for row in csv.DictReader(file)), 20, "\n")


def _sentences(locate: Locate) -> Iterator[str]:
    by_language = defaultdict(list)
    with gzip.open(locate("language/sentences.tsv.gz"), "rt", encoding="utf-8") as lines:
        for line in lines:
            code, sentence = line.rstrip("\n").split("\t", 1)
            by_language[code].append(sentence)
    for code in sorted(by_language):
        yield from _joined(by_language[code], 20, "\n")


def _dialogues(locate: Locate) -> Iterator[str]:
    for row in _json_lines(locate("preferences/hh_harmless.jsonl.gz")):
        yield row["chosen"]


def _instructions(locate: Locate) -> Iterator[str]:
    rows = _json_lines(locate("instructions/self_instruct_seed_tasks.jsonl"))
    tasks = (
        "\n".join([row["instruction"], *(f"{each['input']}\n{each['output']}" for each in row["instances"])])
        for row in rows
    )
    return _joined(tasks, 3, "\n\n")


SOURCES: dict[str, Callable[[Locate], Iterable[str]]] = {
    "pages": _pages,
    "true articles": _true_articles,
    "prose": _prose,
    "Wikipedia": _wikipedia,
    "articles": _articles,
    "problems": _problems,
    "tweets": _tweets,
    "sentences": _sentences,
    "dialogues": _dialogues,
    "instructions": _instructions,
}


def _json_lines(path: Path) -> Iterator[Any]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _joined(texts: Iterable[str], number: int, between: str) -> Iterator[str]:
    """Yield every `number` consecutive texts as one."""
    remaining = iter(texts)
    while group := list(itertools.islice(remaining, number)):
        yield between.join(group)
