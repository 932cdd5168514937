"""The quality stage: scores, verdicts and what it needs to run in another process."""

import pickle
import random

import pyarrow as pa
import pytest

from pipelines.classifiers.fasttext_training import ClassifierConfig
from pipelines.filters.quality import MODEL_FILE, QualityFilter, train_quality_classifier

GOOD = ["history", "river", "science", "century", "because", "language", "discovered", "mountain"]
BAD = ["free", "click", "here", "buy", "now", "offer", "cheap", "limited"]


def page(words, seed):
    return " ".join(random.Random(seed).choices([*words, "the", "of", "in", "with"], k=40))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quality")
    rows = [(page(GOOD, i), True) for i in range(120)] + [(page(BAD, i), False) for i in range(120)]
    summary = train_quality_classifier(rows, ClassifierConfig(num_buckets=1_000), folder)
    return str(folder / MODEL_FILE), summary


def test_keeps_what_reads_like_the_positives(model):
    path, summary = model
    stage = QualityFilter(model_path=path, model_sha256=summary["model_sha256"], threshold=0.5)
    schema = pa.schema([("doc_id", pa.string()), ("url", pa.string()), ("text", pa.large_string())])
    texts = [page(GOOD, 1_000), page(BAD, 1_000), page(GOOD, 1_001)]
    batch = pa.RecordBatch.from_pylist([{"doc_id": str(i), "url": "u", "text": t} for i, t in enumerate(texts)], schema)
    kept, removed = pickle.loads(pickle.dumps(stage))(batch)
    assert kept.column("doc_id").to_pylist() == ["0", "2"]
    assert min(kept.column("quality_score").to_pylist()) >= 0.5
    assert kept.schema.field("quality_score").type == pa.float32()
    row = removed.to_pylist()[0]
    assert (row["doc_id"], row["stage"], row["rule"], row["threshold"]) == ("1", "quality", "quality_score", 0.5)
    assert row["value"] < 0.5
    assert stage(batch.slice(0, 0))[0].num_rows == 0


def test_the_summary_is_plain_numbers_and_text(model):
    import json

    summary = model[1]
    assert json.loads(json.dumps(summary))["roc_auc"] == summary["roc_auc"] == 1.0
