"""Training steps of a document, against the batches of the loader."""

import pytest

from lm.configuration import from_mapping, to_mapping
from lm.shards import TokenShards
from lm.storage import publish
from lm.training.config import PretrainConfig
from pipelines import paths
from pipelines.trace.tokens import find_training_steps
from tests.lm.training.corpora import SETTINGS, make_shards


@pytest.fixture
def shards(tmp_path):
    return make_shards(paths.artifact_path("token_shards", root=tmp_path))


def _publish_model(root, shards_digest, **changes):
    config = from_mapping(PretrainConfig, {**SETTINGS, **changes})
    target = paths.artifact_path("pretrained_model", root=root)
    inputs = {"token_shards": shards_digest}
    with publish(target, kind="pretrained_model", config=to_mapping(config), inputs=inputs, code="x") as publication:
        publication.summary["steps"] = config.num_steps
    return config


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"packing": "best_fit", "model": {"context_length": 64}},
        {"packing": "padded", "batch_size": 3},
        {"source_weights": {"markov": 2.0}, "seed": 5, "num_steps": 40},
    ],
)
def test_the_steps_are_those_whose_batch_holds_the_document(tmp_path, shards, changes):
    pytest.importorskip("torch")
    from lm.training.batches import BatchLoader
    from lm.training.reading_order import order_of_run

    config = _publish_model(tmp_path, shards.digest, **changes)
    order = order_of_run(config, TokenShards.open(shards, "train"))
    loader, stream = BatchLoader(order, batch_size=config.batch_size), order.sources[0].stream
    expected = {}
    for step in range(1, config.num_steps + 1):
        for place in loader.next_batch().places:
            pieces, left_out = order.window(place)
            for (start, end), skipped in zip(pieces.tolist(), left_out.tolist(), strict=True):
                for doc_id in stream.doc_ids(start + skipped, end):
                    expected.setdefault(doc_id, set()).add(step)
    for index in range(12):
        told = find_training_steps(tmp_path, f"train-{index}")
        assert told == {"num_steps": config.num_steps, "steps": sorted(expected.get(f"train-{index}", ()))}
    assert len(expected) > 6


def test_before_the_training_and_after_another_one_nothing_is_claimed(tmp_path, shards):
    assert find_training_steps(tmp_path, "train-1") is None
    _publish_model(tmp_path, "0" * 64)
    assert find_training_steps(tmp_path, "train-1") == {"stale": "trained on other shards"}
