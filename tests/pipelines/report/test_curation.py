"""The report over all steps: sums over groups in the steps' order, pages that say what the tables hold, the same bytes
again; and nothing for a step that is missing."""

import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from lm import storage
from lm.errors import InputError
from pipelines import paths
from pipelines.curation.steps import CURATION
from pipelines.documents.tables import DOCUMENTS, REMOVALS
from pipelines.report.curation import FUNNEL, MARKDOWN, PAGE, steps_of, write_curation_report
from tests.pipelines.published import rows_of


@pytest.fixture(scope="module")
def report(curated_demo, tmp_path_factory):
    folder, _ = curated_demo
    return write_curation_report(steps_of(folder / "home"), tmp_path_factory.mktemp("report"))


def totals(artifacts, name):
    return sum(artifact.summary[name] for artifact in artifacts.values())


def test_groups_are_summed_step_by_step(curated_demo, report):
    _, made = curated_demo
    rows = json.loads(report.file(FUNNEL).read_text())
    assert [row["stage"] for row in rows] == [step.stage for step in CURATION]
    for step, row in zip(CURATION, rows, strict=True):
        assert row["num_in"] == totals(made[step.artifact], "num_in")
        assert row["num_kept"] == totals(made[step.artifact], "num_kept")
    assert report.summary["num_kept"] == rows[-1]["num_kept"]


def test_markdown_says_what_the_tables_hold(curated_demo, report):
    _, made = curated_demo
    text = report.file(MARKDOWN).read_text()
    heuristics = made["prose_documents"]
    kept, came = totals(heuristics, "num_kept"), totals(heuristics, "num_in")
    assert f"| heuristics | {came:,} | {kept:,} | {came - kept:,} | 0 | {kept / came:.1%} |" in text
    removals = [row for each in heuristics.values() for row in rows_of(each, REMOVALS)]
    of_rule = [row for row in removals if row["rule"] == removals[0]["rule"]]
    assert f"| heuristics | {removals[0]['rule']} | {len(of_rule)} | {len(of_rule) / came:.2%} |" in text


class Page(HTMLParser):
    """Checks that tags are balanced and collects what a browser would fetch."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.fetched = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.fetched += [value for name, value in attributes if name in ("src", "srcset", "data")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(report):
    text = report.file(PAGE).read_text()
    page = Page()
    page.feed(text)
    assert page.open == [] and page.fetched == [] and "script" not in page.tags and "link" not in page.tags
    assert "url(" not in text and "@import" not in text
    assert page.tags.count("svg") >= 8
    for step in CURATION:
        assert f'<section id="{step.stage}">' in text
    for score in ("language score", "toxic score", "adult score", "quality score"):
        assert f"Documents by {score}" in text


def test_harmful_documents_are_counted_and_not_shown(curated_demo, report):
    _, made = curated_demo
    harmful = {row["doc_id"] for each in made["harmless_documents"].values() for row in rows_of(each, REMOVALS)}
    begins = {
        " ".join(row["text"].split())[:60]
        for each in made["varied_documents"].values()
        for row in rows_of(each, DOCUMENTS)
        if row["doc_id"] in harmful
    }
    assert begins
    shown = report.file(PAGE).read_text() + report.file(MARKDOWN).read_text()
    assert not [each for each in begins if each in shown]
    assert "characters not shown]" in shown


def test_no_personal_data_is_shown(curated_demo, report):
    """Not even of pages that were not masked yet."""
    assert not re.search(r"[a-z]@[a-z]+\.", report.file(PAGE).read_text())


def test_the_same_steps_give_the_same_bytes(curated_demo, report, tmp_path):
    folder, _ = curated_demo
    again = write_curation_report(steps_of(folder / "home"), tmp_path / "again")
    assert again.digest == report.digest


def test_a_missing_step_is_named(curated_demo, tmp_path):
    folder, _ = curated_demo
    shutil.copytree(folder / "home", tmp_path / "home")
    group = sorted(curated_demo[1]["quality_documents"])[1]
    (paths.artifact_path("quality_documents", group, tmp_path / "home") / storage.MANIFEST).unlink()
    with pytest.raises(InputError, match=rf"quality_documents/{group}: no artifact here"):
        steps_of(tmp_path / "home")
