"""Heuristic rules against datatrove's filters: agreement on documents, reasons of disagreement, and speed.

The documents are made from every text among the real inputs. Both split words at white space (see
`benchmarks.web.datatrove_filters`); "own words" counts datatrove with spaCy's words, on every `--every`th document.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

from benchmarks.report import Row, finish, parser
from benchmarks.shared_data import shared_data
from benchmarks.web.datatrove_filters import FILTERS, Verdicts, is_installed, ours, theirs, white_space_words, why
from benchmarks.web.documents import documents
from lm.errors import run_command
from lm.progress import track
from pipelines.filters.text_statistics import measure

MIN_AGREEMENT = 0.99
MIN_WORDS = 50
"""Gopher asks for the length before it asks for repetition, and so do both refineries."""


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("heuristics", (__doc__ or "").strip())
    options.add_argument("--every", type=int, default=20, metavar="N", help="own words: every Nth (default: 20)")
    arguments = options.parse_args(argv)
    there = is_installed() and (shared_data() / "html_truth").is_dir()
    texts = [text for _, text in documents(shared_data().joinpath)] if there else []
    rows = [row for name in track(FILTERS, "compare", unit="filter") for row in rows_of(name, asked_of(name, texts))]
    return finish("heuristics", [*rows, own_words(texts[:: arguments.every])], arguments)


def asked_of(name: str, texts: list[str]) -> list[str]:
    """Return the documents to filter."""
    return [text for text in texts if name != "repetition" or measure(text).counts["num_words"] >= MIN_WORDS]


def rows_of(name: str, texts: list[str]) -> list[Row]:
    """Return the numbers of equal and of different verdicts by reason, and Loam's documents a second."""
    label = f"{name}: verdicts that agree"
    if not texts:
        return [Row(name=label, value=None, unit="share", peer="datatrove", target=MIN_AGREEMENT)]
    with white_space_words():
        their_rules, their_seconds = judged(theirs(name), texts)
    our_rules, our_seconds = judged(ours(name), texts)
    differing = Counter(pair for pair in map(Verdicts, their_rules, our_rules) if not pair.agree)
    share = 1 - differing.total() / len(texts)
    return [
        Row(name=label, value=share, unit="share", peer="datatrove", target=MIN_AGREEMENT),
        *(
            Row(name=f"  {pair.theirs or pair.ours}", value=number, unit=_side(pair), peer=why(name, pair) or "unknown")
            for pair, number in differing.most_common()
        ),
        Row(
            name=f"{name}: speed",
            value=len(texts) / our_seconds,
            unit="docs/s",
            peer="datatrove, white space",
            ratio=their_seconds / our_seconds,
        ),
    ]


def own_words(texts: list[str]) -> Row:
    """Return the share of equal Gopher verdicts if datatrove splits words with spaCy."""
    value = None
    if texts:
        verdicts = map(Verdicts, judged(theirs("gopher"), texts)[0], judged(ours("gopher"), texts)[0])
        value = sum(pair.agree for pair in verdicts) / len(texts)
    return Row(name="gopher: agree, own words", value=value, unit="share", peer="spaCy's words count punctuation")


def judged(judge: Callable[[str], str | None], texts: list[str]) -> tuple[list[str | None], float]:
    """Return the rule that removes each text, and the CPU seconds after a warm-up on the first text."""
    judge(texts[0])
    start = time.process_time()
    rules = [judge(text) for text in texts]
    return rules, time.process_time() - start


def _side(pair: Verdicts) -> str:
    return "by theirs" if pair.theirs else "by ours"


if __name__ == "__main__":
    run_command(main)
