"""The n-gram baseline as an artifact: counted on the `train` split, scored on `validation`."""

from __future__ import annotations

from pathlib import Path

from lm import storage
from lm.configuration import to_mapping
from lm.evaluation.config import NgramConfig
from lm.evaluation.ngram import evaluate_ngram
from lm.storage import Artifact, Publication
from lm.training.metrics import Report


def write_ngram_baseline(config: NgramConfig, *, shards: Path, output: Path, report: Report) -> Artifact:
    """Score an n-gram model on the validation split of `shards` and publish `evaluation.json` at `output`.

    Raises:
        InputError: a split is missing or empty, or the shards' summary has no `text_bytes`.
    """
    source = storage.open_artifact(shards)

    def write(publication: Publication) -> None:
        score = evaluate_ngram(source, order=config.order)
        publication.summary.update(
            order=config.order,
            validation_loss=score.loss,
            bits_per_byte=score.bits_per_byte,
            num_tokens=score.num_tokens,
            text_bytes=score.text_bytes,
        )
        storage.write_json(publication.path / "evaluation.json", publication.summary)
        report({"order": config.order, "bits_per_byte": score.bits_per_byte})

    return storage.make(
        output,
        write,
        kind="ngram_baseline",
        config=to_mapping(config),
        inputs={"token_shards": source.digest},
    )
