"""Facts of a step: histograms of all documents, shares by rule, totals."""

import pytest

from pipelines.documents.tables import DOCUMENTS, REMOVALS
from pipelines.report.step_facts import NUM_BINS, stage_facts
from tests.pipelines.published import rows_of


def rows(artifacts, name):
    return [row for artifact in artifacts for row in rows_of(artifact, name)]


def test_histograms_count_every_document_once(step):
    made, before = step("harmless_documents", "varied_documents")
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
    made, before = step("language_documents", "raw_documents")
    facts = stage_facts(made, before)
    assert sum(facts.shares.values()) == pytest.approx(facts.row["num_removed"] / facts.row["num_in"])
    assert list(facts.shares.values()) == sorted(facts.shares.values(), reverse=True)


def test_similarities_of_duplicates_are_shown(step):
    made, before = step("unique_documents", "masked_documents")
    (jaccard,) = stage_facts(made, before).histograms
    near = [row for row in rows(made, REMOVALS) if row["rule"] == "near_duplicate"]
    assert (jaccard.score, sum(jaccard.removed), jaccard.threshold) == ("jaccard", len(near), 0.55)
