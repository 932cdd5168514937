"""Main-text extraction on real pages: snippets of 482 pages of all kinds, articles of 92 news pages, speed against two
peers.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle, permutations

from benchmarks.report import Row, finish, parser, timed
from benchmarks.web import rivals
from benchmarks.web.held_out import held_out_f1
from benchmarks.web.pages import TruePage, precision_recall_f1, true_pages
from benchmarks.web.snippets import SnippetPage, snippet_pages, snippet_score
from lm.errors import run_command
from lm.progress import track
from pipelines.extract.charset import decode_html
from pipelines.extract.html import extract_text, read_main_text

MIN_SNIPPETS_F1, MIN_ARTICLES_F1 = 0.935, 0.95
MIN_RESILIPARSE, MIN_TRAFILATURA = 0.75, 8.0
HALVES: Mapping[str, slice] = {
    "all pages": slice(None),
    "the half of the choice": slice(0, None, 2),
    "the other half": slice(1, None, 2),
}
"""Words and rules were chosen on the pages with even numbers, in the order of their names."""

Extractor = Callable[[bytes], str]


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("extraction", (__doc__ or "").strip())
    options.add_argument("--repeats", type=int, default=3, metavar="N", help="rounds; the median counts (default: 3)")
    options.add_argument("--held-out", action="store_true", help="choose the thresholds again on each half (minutes)")
    options.add_argument("--worst", type=int, default=0, metavar="N", help="list the N worst pages by wrong snippets")
    arguments = options.parse_args(argv)
    snippets, articles = snippet_pages(), true_pages()
    rows = [*_snippet_rows(snippets), *_article_rows(articles)]
    if arguments.held_out:
        rows += _held_out_rows(snippets, articles)
    rows += _speed_rows([page.html for page in snippets], arguments.repeats)
    if arguments.worst:
        _print_worst(snippets, arguments.worst)
    return finish("extraction", rows, arguments)


def _extractors() -> dict[str, Extractor]:
    extractors: dict[str, Extractor] = {"Loam": lambda html: extract_text(html) or "", "resiliparse": rivals.bare_text}
    trafilatura = rivals.trafilatura_text()
    return extractors if trafilatura is None else {**extractors, "trafilatura": trafilatura}


def _snippet_rows(pages: Sequence[SnippetPage]) -> list[Row]:
    if not pages:
        return [Row(name="F1 of snippets, Loam", value=None, unit="", target=MIN_SNIPPETS_F1)]
    rows: list[Row] = []
    for name, extract in _extractors().items():
        texts = [extract(page.html) for page in track(pages, name, unit="page")]
        for half, chosen in HALVES.items():
            score = snippet_score(pages[chosen], texts[chosen])
            target = MIN_SNIPPETS_F1 if name == "Loam" and half == "all pages" else None
            rows.append(Row(name=f"F1 of snippets, {name}, {half}", value=score.f1, unit="", target=target))
        score = snippet_score(pages, texts)
        rows += [
            Row(name=f"  precision, {name}", value=score.precision, unit=""),
            Row(name=f"  recall, {name}", value=score.recall, unit=""),
            Row(
                name=f"  pages without text, {name}",
                value=score.num_empty,
                unit="pages",
                target=0 if name == "Loam" else None,
                better="lower",
            ),
        ]
    return [*rows, _forgiven_row(pages)]


def _forgiven_row(pages: Sequence[SnippetPage]) -> Row:
    outcomes = [read_main_text(decode_html(page.html)[0])[1] for page in pages]
    return Row(name="  pages read again, reasons forgiven, Loam", value=outcomes.count("forgiven"), unit="pages")


def _article_rows(pages: list[TruePage]) -> list[Row]:
    if not pages:
        return [Row(name="F1 of shingles, Loam", value=None, unit="", target=MIN_ARTICLES_F1)]
    rows: list[Row] = []
    for name, extract in _extractors().items():
        precision, recall, f1 = precision_recall_f1(pages, [extract(page.html) for page in pages])
        target = MIN_ARTICLES_F1 if name == "Loam" else None
        rows += [
            Row(name=f"F1 of shingles, {name}", value=f1, unit="", target=target),
            Row(name=f"  precision, {name}", value=precision, unit=""),
            Row(name=f"  recall, {name}", value=recall, unit=""),
        ]
    return rows


def _held_out_rows(snippets: Sequence[SnippetPage], articles: Sequence[TruePage]) -> list[Row]:
    def of_snippets(numbers: Sequence[int], texts: Sequence[str]) -> float:
        return snippet_score([snippets[i] for i in numbers], texts).f1

    def of_articles(numbers: Sequence[int], texts: Sequence[str]) -> float:
        return precision_recall_f1([articles[i] for i in numbers], list(texts))[2]

    name = "thresholds of the other half"
    return [
        Row(
            name=f"F1 of snippets, Loam, {name}",
            value=held_out_f1([page.html for page in snippets], of_snippets),
            unit="",
        ),
        Row(
            name=f"F1 of shingles, Loam, {name}",
            value=held_out_f1([page.html for page in articles], of_articles),
            unit="",
        ),
    ]


def _speed_rows(pages: Sequence[bytes], repeats: int) -> list[Row]:
    """Return the pages per second of one core, from bytes to text.

    The extractors alternate page by page, in every order equally often: only the first finds the page outside the
    caches.
    """
    seconds: dict[str, list[float]] = {name: [] for name in _extractors()}
    orders = list(permutations(_extractors().items()))
    for _ in track(range(repeats if pages else 0), "speed", unit="round"):
        totals = dict.fromkeys(seconds, 0.0)
        for page, order in zip(pages, cycle(orders), strict=False):
            for name, extract in order:
                totals[name] += timed(lambda page=page, extract=extract: extract(page), time.process_time)  # type: ignore[misc]
        for name, total in totals.items():
            seconds[name].append(total)
    speeds = {name: len(pages) / statistics.median(each) for name, each in seconds.items() if each}
    targets = {"resiliparse": MIN_RESILIPARSE, "trafilatura": MIN_TRAFILATURA}
    rows: list[Row] = []
    for peer, target in targets.items():
        own, other = speeds.get("Loam"), speeds.get(peer)
        ratio = own / other if own and other else None
        label = f"{peer} {other:,.0f}" if other else peer
        rows.append(Row(name="text of a page", value=own, unit="pages/s", peer=label, ratio=ratio, target=target))
    return rows


def _print_worst(pages: Sequence[SnippetPage], num_pages: int) -> None:
    """Print the pages with the most snippets missed or wrongly kept."""
    found = [(page, snippet_text(page.html)) for page in pages]
    wrong = [
        (sum(each not in text for each in page.wanted) + sum(each in text for each in page.unwanted), page, text)
        for page, text in found
    ]
    for num_wrong, page, text in sorted(wrong, key=lambda item: (-item[0], item[1].name))[:num_pages]:
        missed = [each for each in page.wanted if each not in text]
        kept = [each for each in page.unwanted if each in text]
        print(f"{num_wrong} {page.name} {page.url}\n    missed {missed}\n    kept {kept}")


def snippet_text(html: bytes) -> str:
    """Return the text of a page with white space folded, for the search for snippets."""
    return " ".join((extract_text(html) or "").split())


if __name__ == "__main__":
    run_command(main)
