"""Samples: ten of each, from all rules, the same ones again; nothing harmful, no personal data, no markup."""

from pipelines.documents.tables import DOCUMENTS, REMOVALS
from pipelines.documents.view import read_schema
from pipelines.report.samples import NUM_SAMPLES, Sample, kept_samples, markdown_table, reason_of, removed_samples
from tests.pipelines.published import rows_of


def rows(artifacts, name):
    return [row for artifact in artifacts for row in rows_of(artifact, name)]


def test_ten_that_stayed_with_what_was_found(step):
    made, before = step("language_documents", "raw_documents")
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
    made, before = step("language_documents", "raw_documents")
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
    made, before = step("harmless_documents", "varied_documents")
    samples = removed_samples(made, before)
    assert samples and all(sample.excerpt.startswith("[harmful: ") for sample in samples)
    assert all("threshold" in sample.reason for sample in samples)


def test_elided_documents_are_not_shown_where_they_stayed(step):
    made, _ = step("language_documents", "raw_documents")
    first = kept_samples(made, {"text"})[0]
    (again, *_) = kept_samples(made, {"text"}, {first.doc_id})
    assert again.doc_id == first.doc_id and again.excerpt.startswith("[harmful: ")


def test_markdown_escapes_what_pages_say():
    sample = Sample(doc_id="x", url="https://a.b/c|d`", reason="min_words 3", excerpt="a | b <script> *c* `d` [e](f)")
    row = markdown_table([sample], "why").splitlines()[2]
    assert row == ("| `https://a.b/c%7Cd%60` | min\\_words 3 | a \\| b &lt;script&gt; \\*c\\* \\`d\\` \\[e\\](f) |")
