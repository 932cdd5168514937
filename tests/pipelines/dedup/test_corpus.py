"""Deduplication of a corpus: kept documents, duplicate verdicts, and independence of order and workers."""

import random

import pytest

from lm.errors import InputError
from pipelines.dedup import corpus as corpus_module
from pipelines.dedup.corpus import DeduplicationConfig, deduplicate_partitions
from pipelines.dedup.minhash_config import MinHashConfig
from pipelines.documents.tables import CLUSTERS, DOCUMENTS, REMOVALS, VERDICTS
from tests.pipelines.published import doc_id, publish_documents, rows_of


def prose(seed, count=120):
    generator = random.Random(seed)
    return [f"w{generator.randrange(5000)}" for _ in range(count)]


ORIGINAL = prose(1)
NEAR = [*ORIGINAL[:-3], "quite", "another", "end"]
OTHER = prose(2)


def corpus(folder):
    """Two partitions: a near-duplicate pair, an exact copy in the other partition, one address fetched twice."""
    first = publish_documents(
        folder / "a",
        [" ".join(ORIGINAL), " ".join(OTHER), "too short"],
        urls=["https://a.org/1", "https://a.org/2", "https://a.org/3"],
        qualities=[0.5, 0.9, 0.1],
    )
    second = publish_documents(
        folder / "b",
        [" ".join(NEAR), " ".join(OTHER), "fetched again, with more in it"],
        first=3,
        urls=["https://b.org/1", "https://b.org/2", "https://a.org/3#comments"],
        qualities=[0.8, 0.2, 0.1],
    )
    return {"t/g0000": first, "t/g0001": second}


def rows(artifact, name):
    return rows_of(artifact, name)


def test_each_kind_of_duplicate_leaves_its_best(tmp_path):
    found = deduplicate_partitions(corpus(tmp_path), tmp_path / "out")
    assert [row["doc_id"] for row in rows(found, DOCUMENTS)] == [doc_id(1), doc_id(3), doc_id(5)]
    removed = {row["doc_id"]: row for row in rows(found, REMOVALS)}
    assert {key: (row["rule"], row["duplicate_of"]) for key, row in removed.items()} == {
        doc_id(0): ("near_duplicate", doc_id(3)),  # the other one has the better quality
        doc_id(2): ("same_url", doc_id(5)),  # equal quality: the longer one stays
        doc_id(4): ("same_text", doc_id(1)),
    }
    shared, both = 115, 118 + 3  # 3-grams before the last three words changed; 118 of each
    assert removed[doc_id(0)]["value"] == pytest.approx(shared / both) and removed[doc_id(0)]["threshold"] == 0.55
    assert {row["stage"] for row in removed.values()} == {"dedup"}


def test_the_summary_accounts_for_every_document(tmp_path):
    summary = deduplicate_partitions(corpus(tmp_path), tmp_path / "out").summary
    assert (summary["num_in"], summary["num_kept"], summary["num_removed"], summary["num_lost"]) == (6, 3, 3, 0)
    assert summary["removed_by_rule"] == {"near_duplicate": 1, "same_text": 1, "same_url": 1}
    assert summary["num_clusters"] == {"near_duplicate": 1, "same_text": 1, "same_url": 1}
    assert summary["cluster_sizes"] == {rule: {"2": 1} for rule in ("near_duplicate", "same_text", "same_url")}
    assert summary["largest_cluster"] == 2 and summary["num_unsigned"] == 1
    assert "hashes=120 seed=1" in summary["signature_scheme"]


def test_clusters_list_every_member(tmp_path):
    found = rows(deduplicate_partitions(corpus(tmp_path), tmp_path / "out"), CLUSTERS)
    assert [(row["cluster_id"], row["doc_id"], row["rule"], row["winner"]) for row in found] == [
        (doc_id(1), doc_id(1), "same_text", True),
        (doc_id(1), doc_id(4), "same_text", False),
        (doc_id(3), doc_id(3), "near_duplicate", True),
        (doc_id(3), doc_id(0), "near_duplicate", False),
        (doc_id(5), doc_id(5), "same_url", True),
        (doc_id(5), doc_id(2), "same_url", False),
    ]


@pytest.mark.parametrize("fewest", [0, 50_000])
def test_order_of_partitions_and_number_of_workers_change_nothing(tmp_path, monkeypatch, fewest):
    monkeypatch.setattr(corpus_module, "FEWEST_FOR_PROCESSES", fewest)
    sources = corpus(tmp_path)
    first = deduplicate_partitions(sources, tmp_path / "1")
    second = deduplicate_partitions(dict(reversed(sources.items())), tmp_path / "2", num_workers=2)
    assert first.digest == second.digest
    assert first.names() == [CLUSTERS, VERDICTS]


def test_steps_can_be_left_out(tmp_path):
    config = DeduplicationConfig(same_url=False, near_duplicates=False)
    assert deduplicate_partitions(corpus(tmp_path), tmp_path / "1", config).summary["removed_by_rule"] == {
        "same_text": 1
    }
    config = DeduplicationConfig(same_url=False, same_text=False)
    found = deduplicate_partitions(corpus(tmp_path), tmp_path / "2", config)
    assert found.summary["removed_by_rule"] == {"near_duplicate": 2}
    config = DeduplicationConfig(minhash=MinHashConfig(jaccard_threshold=0.99))
    found = deduplicate_partitions(corpus(tmp_path), tmp_path / "3", config)
    assert found.summary["removed_by_rule"] == {"same_text": 1, "same_url": 1}


def test_a_random_winner_by_seed(tmp_path):
    sources = corpus(tmp_path)
    kept = set()
    for seed in range(8):
        found = deduplicate_partitions(sources, tmp_path / str(seed), DeduplicationConfig(winner_seed=seed))
        kept |= {row["doc_id"] for row in rows(found, DOCUMENTS)}
    assert kept == {doc_id(i) for i in range(6)}


def test_empty_partitions_and_none(tmp_path):
    empty = publish_documents(tmp_path / "in", [])
    assert deduplicate_partitions({"t/g0000": empty}, tmp_path / "out").summary["num_in"] == 0
    with pytest.raises(InputError, match="no partition given"):
        deduplicate_partitions({}, tmp_path / "none")


def test_partitions_of_different_columns_are_refused(tmp_path):
    sources = {"t/g0000": publish_documents(tmp_path / "a", ["x"]), **dict([list(corpus(tmp_path / "c").items())[1]])}
    with pytest.raises(InputError, match=r"partition 't/g0001' has columns .*'quality_score'.*'t/g0000' has"):
        deduplicate_partitions(sources, tmp_path / "out")
