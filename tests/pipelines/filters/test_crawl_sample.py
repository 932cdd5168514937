"""Samples of documents: as many as wanted, without a preference, the same whatever the order."""

import numpy as np

from pipelines.filters.crawl_sample import sample_documents
from tests.pipelines.published import publish_documents


def test_the_sample_is_the_same_in_every_order_and_of_any_corpus_around_it(tmp_path):
    documents = publish_documents(
        tmp_path / "a", [f"text {i}" for i in range(900)], qualities=list(np.linspace(0, 1, 900))
    )
    sample = sample_documents(documents, ("text", "quality_score", "language"), most=50)
    assert len({row["text"] for row in sample}) == 50
    assert all(row.keys() == {"text", "quality_score"} for row in sample)  # no such column as `language` is there
    assert sample_documents(documents, most=5) == [{"text": row["text"]} for row in sample[:5]]
    part = publish_documents(tmp_path / "b", [f"text {i}" for i in range(300, 900)], first=300)
    there = [row["text"] for row in sample if int(row["text"].split()[1]) >= 300]
    assert [row["text"] for row in sample_documents(part, most=len(there))] == there
    assert len(sample_documents(part)) == 600


def test_every_part_of_the_corpus_is_drawn_from(tmp_path):
    documents = publish_documents(tmp_path / "a", [f"text {i}" for i in range(2000)])
    numbers = [int(row["text"].split()[1]) for row in sample_documents(documents, most=400)]
    tenths = np.bincount(np.array(numbers) // 200, minlength=10)
    assert tenths.min() > 20 and tenths.max() < 60  # 40 each on average
