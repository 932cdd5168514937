"""Samples: ten of each, from all rules, the same ones again; nothing harmful, no personal data, no markup."""

import pytest

from pipelines.documents.tables import DOCUMENTS, REMOVALS
from pipelines.documents.view import read_schema
from pipelines.report.samples import NUM_SAMPLES, Sample, kept_samples, markdown_table, reason_of, removed_samples
from pipelines.report.step_facts import NUM_BINS, stage_facts
from tests.pipelines.published import rows_of


@pytest.fixture
def step(curated_demo):
    """The artifacts of a step, and of the one before it."""

    def of(name, before):
        return [list(curated_demo[1][each].values()) for each in (name, before)]

    return of


def rows(artifacts, name):
    return [row for artifact in artifacts for row in rows_of(artifact, name)]


def test_ten_that_stayed_with_what_was_found(step):
    made, before = step("language_documents", "extracted_documents")
    samples = kept_samples(made, set(read_schema(before[0]).names))
    documents = {row["doc_id"]: row for row in rows(made, DOCUMENTS)}
    assert len(samples) == len({sample.doc_id for sample in samples}) == NUM_SAMPLES
    for sample in samples:
        document = documents[sample.doc_id]
        assert sample.url == document["url"]
        assert f"language_score {document['language_score']:.4g}" in sample.reason
        assert f"{len(document['text']):,} characters" in sample.reason
        assert " ".join(document["text"].split())[:40] in sample.excerpt
    assert kept_samples(made, {"text"})[0].doc_id == samples[0].doc_id
    assert [each.doc_id for each in kept_samples(before, {"text"})] != [each.doc_id for each in samples]


def test_what_left_comes_from_every_rule_with_its_text(step):
    made, before = step("language_documents", "extracted_documents")
    samples = removed_samples(made, before)
    removals = {row["doc_id"]: row for row in rows(made, REMOVALS)}
    texts = {row["doc_id"]: row["text"] for row in rows(before, DOCUMENTS)}
    assert len(samples) == min(NUM_SAMPLES, len(removals))
    shown = {removals[sample.doc_id]["rule"] for sample in samples}
    assert shown == {row["rule"] for row in removals.values()}
    for sample in samples:
        assert sample.reason == reason_of(removals[sample.doc_id])
        assert sample.excerpt.startswith(" ".join(texts[sample.doc_id].split())[:20])


def test_harmful_texts_are_not_shown(step):
    made, before = step("harmless_documents", "repetition_documents")
    samples = removed_samples(made, before)
    assert samples and all(sample.excerpt.startswith("[harmful: ") for sample in samples)
    assert all("threshold" in sample.reason for sample in samples)


def test_elided_documents_are_not_shown_where_they_stayed(step):
    made, _ = step("language_documents", "extracted_documents")
    first = kept_samples(made, {"text"})[0]
    (again, *_) = kept_samples(made, {"text"}, {first.doc_id})
    assert again.doc_id == first.doc_id and again.excerpt.startswith("[harmful: ")


def test_markdown_escapes_what_pages_say():
    sample = Sample(doc_id="x", url="https://a.b/c|d`", reason="min_words 3", excerpt="a | b <script> *c* `d` [e](f)")
    row = markdown_table([sample], "why").splitlines()[2]
    assert row == ("| `https://a.b/c%7Cd%60` | min\\_words 3 | a \\| b &lt;script&gt; \\*c\\* \\`d\\` \\[e\\](f) |")


def test_histograms_count_every_document_once(step):
    made, before = step("harmless_documents", "repetition_documents")
    toxic, adult = stage_facts(made, before).histograms
    kept = sum(artifact.summary["num_kept"] for artifact in made)
    removed = sum(artifact.summary["num_removed"] for artifact in made)
    assert toxic.score == "toxic_score" and sum(toxic.kept) == sum(adult.kept) == kept
    assert sum(toxic.removed) + sum(adult.removed) == removed
    assert toxic.threshold == made[0].config["toxic_threshold"]
    below = round(toxic.threshold * NUM_BINS)
    assert sum(toxic.kept[below + 1 :]) == 0 and sum(toxic.removed[: below - 1]) == 0


def test_shares_and_totals(step):
    made, before = step("masked_documents", "quality_documents")
    facts = stage_facts(made, before)
    assert facts.shares == {}
    masked = sum(row["num_pii_email"] for row in rows(made, DOCUMENTS))
    assert facts.totals["num_pii_email"] == masked > 0
    made, before = step("language_documents", "extracted_documents")
    facts = stage_facts(made, before)
    assert sum(facts.shares.values()) == pytest.approx(facts.row["num_removed"] / facts.row["num_in"])
    assert list(facts.shares.values()) == sorted(facts.shares.values(), reverse=True)


def test_similarities_of_duplicates_are_shown(step):
    made, before = step("deduplicated_documents", "masked_documents")
    (jaccard,) = stage_facts(made, before).histograms
    near = [row for row in rows(made, REMOVALS) if row["rule"] == "near_duplicate"]
    assert (jaccard.score, sum(jaccard.removed), jaccard.threshold) == ("jaccard", len(near), 0.55)
