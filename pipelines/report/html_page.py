"""The curation report as one HTML page: no script, no font or picture from elsewhere, readable without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pipelines.curation.steps import CURATION
from pipelines.decontamination.corpus import STAGE as DECONTAMINATE
from pipelines.report import charts
from pipelines.report.composition import Composition
from pipelines.report.samples import HARMFUL_STAGE, Sample
from pipelines.report.step_facts import StageFacts

_MOST_RULES = 16
_JACCARD = "Near-duplicates by Jaccard index with the kept page"

_STYLE = """
:root { color-scheme: light; --ink: #1f2933; --faint: #66737f; --line: #d5dbe3; --paper: #f4f6f8; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { margin: 8px 0 4px; font-size: 28px; }
h2 { margin: 0; font-size: 19px; }
h2 small { color: var(--faint); font-weight: 400; font-size: 15px; margin-left: 8px; }
nav a { color: #3b6fb6; text-decoration: none; margin-right: 14px; white-space: nowrap; }
section { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; margin-top: 18px; }
.figures { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0 6px; }
.figures div { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 10px 16px; }
.figures b { display: block; font-size: 22px; font-variant-numeric: tabular-nums; }
.figures span, .accounts { color: var(--faint); }
.accounts { margin: 2px 0 10px; }
svg { max-width: 100%; height: auto; display: block; margin-top: 6px; }
table { border-collapse: collapse; width: 100%; margin-top: 8px; font-size: 13px; table-layout: fixed; }
th, td { text-align: left; vertical-align: top; padding: 6px 8px; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { color: var(--faint); font-weight: 600; }
th:nth-child(1) { width: 27%; } th:nth-child(2) { width: 24%; }
table.counts th, table.counts td { width: auto; font-variant-numeric: tabular-nums; }
details { margin-top: 10px; } summary { cursor: pointer; font-weight: 600; }
.elided { color: #c8553d; }
"""


def report_page(
    facts: Sequence[StageFacts],
    matches: Sequence[Mapping[str, Any]],
    settings: str,
    whole: Composition | None = None,
    unjudged: Sequence[str] = (),
) -> str:
    """Return the page over all steps; `matches` are passages shared with evaluation sets, `settings` YAML, `unjudged`
    the steps that kept every document."""
    rows = [each.row for each in facts]
    stages = [row["stage"] for row in rows]
    purposes = {step.stage: step.purpose for step in CURATION}
    links = "".join(f'<a href="#{escape(row["stage"])}">{escape(row["stage"])}</a>' for row in rows)
    links += '<a href="#languages">languages</a>' if whole is not None and whole.languages else ""
    links += '<a href="#settings">settings</a>'
    parts = [
        "<h1>Curation</h1>",
        f"<nav>{links}</nav>",
        _figures(rows, whole),
        *(
            [f'<p class="elided">Not scored, every document kept: {escape(", ".join(unjudged))}.</p>']
            if unjudged
            else []
        ),
        f"<section>{charts.funnel('Documents at each step', rows)}</section>",
        *(
            _section(
                each,
                purposes.get(row["stage"], ""),
                matches,
                HARMFUL_STAGE in stages[: stages.index(row["stage"]) + 1],
                whole.sentence if whole is not None and row["stage"] == DECONTAMINATE else "",
            )
            for each, row in zip(facts, rows, strict=True)
        ),
        *([_language_table(whole)] if whole is not None and whole.languages else []),
        f'<section id="settings"><h2>settings</h2><pre>{escape(settings)}</pre></section>',
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Curation</title>'
        f"<style>{_STYLE}</style></head>\n<body><main>\n" + "\n".join(parts) + "\n</main></body></html>\n"
    )


def _figures(rows: Sequence[Mapping[str, Any]], whole: Composition | None) -> str:
    """Return the headline figures; the share is that of the crawl, without the documents that were added."""
    first, last = rows[0], rows[-1]
    crawled = last["num_kept"] if whole is None else whole.crawled_kept
    shown = {
        "records read": f"{first['num_in']:,}",
        "crawled documents kept": f"{crawled:,}",
        "share of records kept": f"{crawled / max(1, first['num_in']):.1%}",
        **({"documents added": f"{whole.added_kept:,}"} if whole is not None and whole.added_in else {}),
        "records lost": f"{sum(row['num_lost'] for row in rows):,}",
        "of text kept": _size(last["text_bytes_kept"]),
    }
    return f'<div class="figures">{"".join(f"<div><b>{v}</b><span>{k}</span></div>" for k, v in shown.items())}</div>'


def _language_table(whole: Composition) -> str:
    """Return the section of documents by language: as they came to each step, and as they stayed."""
    stages = list(next(iter(whole.languages.values())))
    head = "".join(f"<th>{escape(each)}</th>" for each in ("language", *stages))
    rows = "".join(
        f"<tr><td>{escape(name)}</td>{''.join(f'<td>{counts[stage]:,}</td>' for stage in stages)}</tr>"
        for name, counts in whole.languages.items()
    )
    return (
        '<section id="languages"><h2>languages<small>documents entering each step, and documents kept</small></h2>'
        f'<table class="counts"><tr>{head}</tr>{rows}</table></section>'
    )


def _section(
    facts: StageFacts, purpose: str, matches: Sequence[Mapping[str, Any]], judged: bool, joined: str = ""
) -> str:
    """Return the section of one step; `judged`: whether its removed documents had been judged for harmful text;
    `joined`: the documents that came, in words."""
    row = facts.row
    stage = escape(row["stage"])
    lost = f", {row['num_lost']:,} lost" if row["num_lost"] else ""
    parts = [
        f'<section id="{stage}"><h2>{stage}<small>{escape(purpose)}</small></h2>',
        f'<p class="accounts">{row["num_in"]:,} in, {row["num_kept"]:,} kept, {row["num_removed"]:,} removed{lost}; '
        f"{_size(row['text_bytes_kept'])} of text kept</p>",
        *([f"<p>{escape(joined)}</p>"] if joined else []),
        *stage_charts(facts).values(),
    ]
    if matches and row["stage"] == DECONTAMINATE:
        parts.append(_match_table(matches))
    for title, samples in (("removed", facts.removed), ("kept", facts.kept)):
        if samples:
            note = "" if title == "kept" or judged else " (not scored for harmful text)"
            parts.append(_sample_table(f"{len(samples)} of {row['num_' + title]:,} {title}{note}", samples))
    return "\n".join([*parts, "</section>"])


def stage_charts(facts: StageFacts) -> dict[str, str]:
    """Return the charts of one step, as SVG by name: removals by rule, counts, score distributions."""
    drawn = {}
    if facts.shares:
        shares = dict(list(facts.shares.items())[:_MOST_RULES])
        drawn["removed"] = charts.bars("Share removed or lost, by rule", shares, percent=True, color=charts.REMOVED)
    if facts.totals:
        totals = {_named(name): count for name, count in facts.totals.items()}
        drawn["counted"] = charts.bars("Counts in the kept documents", totals)
    for each in facts.histograms:
        title = _JACCARD if each.score == "jaccard" else f"Documents by {each.score.replace('_', ' ')}"
        drawn[f"{each.score}_histogram"] = charts.histogram(title, each.kept, each.removed, threshold=each.threshold)
    return drawn


def _named(column: str) -> str:
    """Return the name of what a column counts; the column of all personal data is named after its step."""
    return "all kinds" if column == "num_pii" else column.removeprefix("num_").removeprefix("pii_").replace("_", " ")


def _sample_table(title: str, samples: Sequence[Sample]) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.url)}</td><td>{escape(each.reason)}</td>{_excerpt(each.excerpt)}</tr>"
        for each in samples
    )
    head = "<tr><th>page</th><th>found</th><th>text</th></tr>"
    return f"<details><summary>{escape(title)}</summary><table>{head}{rows}</table></details>"


def _excerpt(text: str) -> str:
    elided = text.startswith("[harmful: ")
    return f'<td class="elided">{escape(text)}</td>' if elided else f"<td>{escape(text)}</td>"


def _match_table(matches: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(row['url'])}</td><td>{escape(row['evaluation_set'])} {escape(row['item'])}, "
        f"{row['num_words']} words, {escape(row['outcome'])}</td><td>{escape(row['ngram'])} …</td></tr>"
        for row in matches
    )
    head = "<tr><th>page</th><th>evaluation item</th><th>shared words</th></tr>"
    return f"<details open><summary>Passages shared with evaluation sets</summary><table>{head}{rows}</table></details>"


def _size(num_bytes: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if num_bytes >= size:
            return f"{num_bytes / size:,.1f} {unit}"
    return f"{num_bytes} bytes"
