"""Evaluation items as an artifact."""

import json

import pytest

from pipelines.decontamination.corpus import DecontaminationConfig, Decontaminator
from pipelines.decontamination.items import ITEMS, EvaluationSet, publish_evaluation_items


@pytest.fixture
def published(tmp_path):
    """A function that publishes items and gives the stage over them."""

    def publish(*texts, **config):
        path = tmp_path / "set.jsonl"
        path.write_text("".join(json.dumps({"id": f"q{i}", "question": text}) + "\n" for i, text in enumerate(texts)))
        artifact = publish_evaluation_items([EvaluationSet(name="exam", path=str(path))], tmp_path / "items")
        return Decontaminator(
            items_path=str(artifact.file(ITEMS)),
            items_sha256=artifact.files[ITEMS].sha256,
            config=DecontaminationConfig(**config),
        )

    return publish
