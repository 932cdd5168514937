"""Evaluation items, and documents that hold them or not, for tests."""

import random

import pyarrow as pa

from pipelines.decontamination.index import EvaluationIndex
from pipelines.decontamination.items import Item
from pipelines.documents.schema import DOCUMENT_SCHEMA

QUESTION = (
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May. "
    "How many clips did Natalia sell altogether in April and May?"
)
SHORT = "Name the seven hills on which old Rome stood."
WORDS = [f"word{number}" for number in range(40)]


def items(*texts):
    return [Item(set="test", item=str(place), field="question", text=text) for place, text in enumerate(texts)]


def index_of(*texts, ngram=13, min_item_words=8):
    return EvaluationIndex(items(*texts), ngram=ngram, min_item_words=min_item_words)


def prose(num_words, seed=0):
    """Words that no item holds."""
    return " ".join(random.Random(seed).choice(WORDS) for _ in range(num_words))


def documents(*texts):
    rows = [
        {
            "doc_id": f"00000000-0000-0000-0000-{place:012d}", "url": f"https://example.org/{place}", "crawl": "c",
            "warc_path": "w", "warc_offset": place, "fetched_at": "2026-01-01T00:00:00Z", "text": text,
        }
        for place, text in enumerate(texts)
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, schema=DOCUMENT_SCHEMA)
