"""The tokens of a document in the shards, and the training steps that read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lm.configuration import from_mapping
from lm.shards import TokenShards
from lm.storage import Artifact, find_artifact
from pipelines import paths
from pipelines.tokens.shards import SPLITS


def find_tokens(root: Path, documents: Artifact | None, doc_id: str) -> dict[str, Any] | None:
    """Return the place of a document's ids: its row in a shard file, its range there and in the stream of the whole
    split.

    None where there are no shards yet; `split` is None where they do not hold it.
    """
    artifact = published(root, "token_shards")
    if artifact is None:
        return None
    for split in SPLITS:
        before = 0
        for shard in TokenShards.open(artifact, split).shards:
            row = pc.index(shard.doc_ids, pa.scalar(doc_id, shard.doc_ids.type)).as_py()
            if row >= 0:
                start, end = int(shard.offsets[row]), int(shard.offsets[row + 1])
                place = {"split": split, "shard": shard.path.name, "row": row, "start": start, "end": end}
                in_stream = {"stream_start": before + start, "stream_end": before + end}
                return {**place, **in_stream, **stale(artifact, documents)}
            before += int(shard.tokens.size)
    return {"split": None, **stale(artifact, documents)}


def find_training_steps(root: Path, doc_id: str) -> dict[str, Any] | None:
    """Return the pre-training steps with a token of the document as a target, and the number of all steps.

    None where no model was trained yet; only a note where it was trained on other shards than there are now. The order
    of reading is a pure function of the run's configuration, so it is computed again, not recorded.
    """
    from lm.training.config import PretrainConfig
    from lm.training.reading_order import order_of_run, steps_that_read_document

    model, shards = published(root, "pretrained_model"), published(root, "token_shards")
    if model is None or shards is None:
        return None
    if shards.digest not in model.inputs.values():
        return {"stale": "trained on other shards"}
    config = from_mapping(PretrainConfig, model.config)
    training = TokenShards.open(shards, "train")
    num_steps = config.steps(config.model_config(training.vocab_size).context_length)
    order = order_of_run(config, training)
    steps = steps_that_read_document(order, config.batch_size, num_steps, doc_id)
    return {"steps": steps, "num_steps": num_steps}


def published(root: Path, name: str) -> Artifact | None:
    """Return the artifact of asset `name` below `root`; None if it does not exist."""
    path = paths.artifact_path(name, root=root)
    return find_artifact(path)


def stale(artifact: Artifact, source: Artifact | None) -> dict[str, str]:
    """Return a note where an artifact was not made from the present version of `source`."""
    if source is None or source.digest in artifact.inputs.values():
        return {}
    return {"stale": f"made from another version of {source.summary['stage']}'s documents"}
