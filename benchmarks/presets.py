"""Pages kept by each preset of the heuristic and repetition rules: real pages by language, and boilerplate.

Pages are the extracted texts of `html_snippets` and `html_truth` of at least 50 words: nearly all were chosen as pages
with an article, so their removal is an error. True articles are the bodies of `html_truth`. Furniture is the
boilerplate of a page (menus, teasers, notices): the lines outside its extracted text, also documents of at least 50
words. `--show PRESET` prints the pages that a preset removes, with the rule.
"""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.report import Row, finish, parser
from benchmarks.shared_data import shared_data
from benchmarks.web.pages import true_pages
from benchmarks.web.real_pages import FOLDERS, RealPage, real_pages
from lm.errors import run_command
from pipelines.extract.html import decode_html
from pipelines.filters import repetition
from pipelines.filters.heuristics import PRESETS, HeuristicFilter
from pipelines.filters.language import identify_language
from pipelines.filters.repetition import RepetitionFilter

MIN_WORDS = 50
LANGUAGES = ("en", "de", "es", "fr", "pl", "pt")

Judge = Callable[[RealPage], str | None]


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("presets", (__doc__ or "").strip())
    options.add_argument("--show", metavar="PRESET", help="print the real pages that a preset removes")
    arguments = options.parse_args(argv)
    groups = _groups() if (shared_data() / FOLDERS[0]).is_dir() else {}
    judges = {f"heuristics {name}": heuristic(name) for name in PRESETS}
    judges |= {f"repetition {name}": repetitive(name) for name in repetition.PRESETS}
    if arguments.show:
        _show(groups.get("pages", []), judges[arguments.show])
    return finish("presets", _rows(groups, judges), arguments)


def heuristic(name: str) -> Judge:
    """Return the first heuristic rule of a preset that a page fails, or None."""
    stage = HeuristicFilter(preset=name)
    return lambda page: next((verdict.rule for verdict in stage.violations(page.text, page.language)), None)


def repetitive(name: str) -> Judge:
    """Return the first repetition rule of a preset that a page fails, or None."""
    stage = RepetitionFilter(preset=name)
    return lambda page: verdict.rule if (verdict := stage.verdict(page.text)) else None


def _groups() -> dict[str, list[RealPage]]:
    pages = [page for page in real_pages(shared_data().joinpath) if len(page.text.split()) >= MIN_WORDS]
    articles = [
        RealPage(name=page.name, language=identify_language(page.text)[0], text=page.text) for page in true_pages()
    ]
    by_language = {f"pages in {code}": [page for page in pages if page.language == code] for code in LANGUAGES}
    return {"pages": pages, **by_language, "true articles": articles, "furniture": list(furniture(pages))}


def furniture(pages: Sequence[RealPage]) -> Iterator[RealPage]:
    """Yield the pages with their text outside of the extracted text."""
    from resiliparse.extract.html2text import extract_plain_text

    texts = {page.name: set(page.text.split("\n")) for page in pages}
    for folder in FOLDERS:
        for path in sorted((shared_data() / folder / "html").glob("*.html.gz")):
            html, _ = decode_html(gzip.decompress(path.read_bytes()), None)
            whole = extract_plain_text(html, main_content=False, alt_texts=False, list_bullets=True)
            lines = (" ".join(line.split()) for line in whole.split("\n"))
            text = "\n".join(line for line in lines if line and line not in texts.get(path.name, set()))
            if path.name in texts and len(text.split()) >= MIN_WORDS:
                yield RealPage(name=path.name, language=identify_language(text)[0], text=text)


def _rows(groups: Mapping[str, Sequence[RealPage]], judges: Mapping[str, Judge]) -> Iterator[Row]:
    for name, judge in judges.items():
        for group, pages in groups.items():
            removed = Counter(rule for page in pages if (rule := judge(page)))
            reasons = ", ".join(f"{rule} {number}" for rule, number in removed.most_common(4))
            kept = 1 - removed.total() / max(1, len(pages))
            yield Row(name=f"{name}: {group} kept", value=kept, unit=f"of {len(pages)}", peer=reasons)


def _show(pages: Sequence[RealPage], judge: Judge) -> None:
    for page in pages:
        rule = judge(page)
        if rule:
            print(f"{rule:<24} {page.language}  {page.name}  {page.text[:120]!r}")


if __name__ == "__main__":
    run_command(main)
