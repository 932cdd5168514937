"""Speed of decontamination against a plain search in Python, and its growth with the length of texts.

Items: the questions of GSM8K's test part; text: GSM8K's training part, its problems with their answers, below
`LOAM_SHARED_DATA`. Without it, items and text are drawn from an open vocabulary and an eighth of the documents quotes
one. Both sides search for the same runs of 13 normalised words; that they find the same documents is checked first.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections.abc import Callable

import pyarrow as pa

from benchmarks.open_text import open_text
from benchmarks.report import Row, finish, parser, timed
from benchmarks.shared_data import shared_data
from lm.errors import IntegrityError, run_command
from lm.progress import track
from pipelines.decontamination.index import EvaluationIndex
from pipelines.decontamination.items import Item
from pipelines.dedup.normalization import normalize

NGRAM = 13
MIN_SPEEDUP, MAX_GROWTH = 10.0, 1.2
MEGABYTE = 10**6


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("decontaminate", (__doc__ or "").strip())
    options.add_argument("--megabytes", type=int, default=4, metavar="N", help="text to search (default: 4)")
    options.add_argument("--repeats", type=int, default=3, metavar="N", help="timings of each side (default: 3)")
    arguments = options.parse_args(argv)
    questions, texts = inputs(arguments.megabytes * MEGABYTE)
    return finish("decontaminate", rows(questions, texts, arguments.repeats), arguments)


def inputs(size_bytes: int) -> tuple[list[str], list[str]]:
    """Return questions, and documents of at least `size_bytes` in total."""
    folder = shared_data() / "gsm8k"
    if (folder / "test.jsonl").is_file():
        questions = [json.loads(line)["question"] for line in (folder / "test.jsonl").read_text().splitlines()]
        problems = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
        texts = [f"{problem['question']}\n{problem['answer']}" for problem in problems]
    else:
        words = " ".join(open_text(3 * MEGABYTE)).split()
        questions = [" ".join(words[start : start + 45]) for start in range(0, 1_300 * 45, 45)]
        texts = [" ".join(words[start : start + 95]) for start in range(1_300 * 45, len(words), 95)]
        texts = [f"{text} {questions[place % 1_300]}" if place % 8 == 0 else text for place, text in enumerate(texts)]
    random.Random(0).shuffle(texts)
    chosen, size, place = [], 0, 0
    while size < size_bytes:
        chosen.append(texts[place % len(texts)])
        size += len(chosen[-1].encode())
        place += 1
    return questions, chosen


def rows(questions: list[str], texts: list[str], repeats: int) -> list[Row]:
    """Return rows of speed, agreement and growth."""
    items = [Item(set="exam", item=str(place), field="question", text=text) for place, text in enumerate(questions)]
    start = time.process_time()
    index = EvaluationIndex(items, ngram=NGRAM, min_item_words=NGRAM)
    built = time.process_time() - start
    column, plain = pa.array(texts, pa.large_string()), plain_search(questions)
    found = [bool(index.overlaps(texts[row])) if known else False for row, known in enumerate(index.suspects(column))]
    if found != [plain(text) for text in texts]:
        raise IntegrityError("decontaminate: the index and the plain search find different documents")
    size = sum(len(text.encode()) for text in texts) / MEGABYTE

    def search(part: pa.Array) -> Callable[[], object]:
        return lambda: [index.overlaps(part[int(row)].as_py()) for row in index.suspects(part).nonzero()[0]]

    ours, theirs, tenth = [], [], []
    for _ in track(range(repeats), "search", unit="repeat"):
        ours.append(timed(search(column), time.process_time))
        theirs.append(timed(lambda: [plain(text) for text in texts], time.process_time))
        tenth.append(timed(search(column.slice(0, len(texts) // 10)), time.process_time))
    seconds, peer = statistics.median(ours), statistics.median(theirs)
    growth = seconds / len(texts) / (statistics.median(tenth) / (len(texts) // 10))
    return [
        Row(name="search", value=size / seconds, unit="MB/s", peer="plain Python", ratio=peer / seconds,
            target=MIN_SPEEDUP),
        Row(name="documents that share a run of words", value=sum(found), unit="documents"),
        Row(name="time a document, ten times as many", value=growth, unit="×", target=MAX_GROWTH, better="lower"),
        Row(name="index", value=built, unit="s"),
    ]  # fmt: skip


def plain_search(questions: list[str]) -> Callable[[str], bool]:
    """Return whether a text holds any run of `NGRAM` normalised words of any question, by a set of tuples."""
    known = {gram for question in questions for gram in _ngrams(question)}
    return lambda text: not known.isdisjoint(_ngrams(text))


def _ngrams(text: str) -> list[tuple[str, ...]]:
    words = normalize(text).split()
    return [tuple(words[start : start + NGRAM]) for start in range(len(words) - NGRAM + 1)]


if __name__ == "__main__":
    run_command(main)
