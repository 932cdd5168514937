"""The trainings of one question, one after the other, and their results as an artifact.

    OUTPUT/         runs.json (every run with its curves), report.md: the same bytes for the same inputs
    RUNS/NAME       one training each, named by its configuration: questions share runs that are the same
    RUNS/NAME.work  its live view says when its steps were done, which differs from run to run and stays out of OUTPUT

A run diverged where its loss, gradient or score is not finite, or where in the end it predicts held-out tokens no
better than their frequencies do. A low learning rate that has not learned yet is called the same, but does not end the
search for the edge: that takes a rate at which losses are not finite, or one above a rate that learned.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lm import storage
from lm.ablations.config import LEARNING_RATE, AblationConfig
from lm.ablations.report import PAGE, RUNS, render, verdict
from lm.accounting import count_parameters
from lm.configuration import to_mapping
from lm.errors import NonFiniteError
from lm.progress import track
from lm.shards import TokenShards
from lm.storage import Artifact, Publication
from lm.token_stream import TokenStream
from lm.training.config import PretrainConfig
from lm.training.metrics import METRICS, Report, live_rows
from lm.training.pretrain import pretrain, silent

_KIND = "ablation"


def run_ablation(
    config: AblationConfig, *, question: str, shards: Path, runs: Path, output: Path, report: Report = silent
) -> Artifact:
    """Train every variant of `question` with every seed, keep the trainings in `runs`, and publish the comparison.

    Raises:
        ConfigurationError: there is no such question, or the training refuses a setting.
        Interrupted: SIGTERM or SIGINT; the same call goes on with the run that was interrupted.
        InputError: the shards lack a split.
    """
    config.variants(question)  # an unknown one is refused before anything else
    source = storage.open_artifact(shards)
    return storage.make(
        output,
        functools.partial(_write, config, question, source, runs, report),
        kind=_KIND,
        config={"question": question, **to_mapping(config)},
        inputs={"token_shards": source.digest},
    )


def _write(
    config: AblationConfig, question: str, source: Artifact, runs: Path, report: Report, publication: Publication
) -> None:
    unigram = unigram_loss(source)
    rows: list[dict[str, Any]] = []
    planned = [(variant, seed) for variant in config.variants(question) for seed in config.seeds]
    for variant, seed in track(planned, f"ablation {question}", unit="run"):
        if question == LEARNING_RATE and _edge_passed(rows, variant):
            continue
        row = _run(config.run(question, variant, seed), variant, source, runs, unigram, report)
        report({key: row[key] for key in ("variant", "seed", "validation_loss", "diverged")} | {"question": question})
        rows.append(row)
    found = verdict(question, rows)
    storage.write_json(publication.path / RUNS, {"question": question, "unigram_loss": unigram, "runs": rows})
    (publication.path / PAGE).write_text(render(question, rows, found, config.num_tokens), encoding="utf-8")
    publication.summary.update(question=question, num_runs=len(rows), **found)


def _edge_passed(rows: list[dict[str, Any]], variant: str) -> bool:
    """Return whether a lower learning rate was too high already."""
    learned = False
    for name in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == name]
        if name == variant:
            return False
        if any(row["diverged"] and (learned or row["validation_loss"] is None) for row in own):
            return True
        learned = learned or not all(row["diverged"] for row in own)
    return False


def _run(
    config: PretrainConfig, variant: str, source: Artifact, runs: Path, unigram: float, report: Report
) -> dict[str, Any]:
    name = _name(config, source)
    shape = config.model_config(TokenShards.open(source, "train").vocab_size)
    row: dict[str, Any] = {"variant": variant, "seed": config.seed, "name": name, "config": to_mapping(config)}
    row["parameters"] = count_parameters(shape).total
    try:
        trained = pretrain(config, source.path, runs / name, lambda event: _pass_on(event, report))
    except NonFiniteError as error:
        row.update(diverged=str(error), validation_loss=None, bits_per_byte=None, **_curves(live_rows(runs / name)))
    else:
        row.update(_curves(json.loads(line) for line in trained.file(METRICS).read_text().splitlines()))
        row["validation_steps"].append(row["steps"][-1])
        row["validation_losses"].append(trained.summary["validation_loss"])
        row["validation_loss"] = trained.summary["validation_loss"]
        row["bits_per_byte"] = trained.summary["bits_per_byte"]
        worse = row["validation_loss"] >= unigram
        row["diverged"] = f"validation loss {row['validation_loss']:.3f}, unigram {unigram:.3f}" if worse else None
    return row


def _pass_on(event: Mapping[str, object], report: Report) -> None:
    """Report sentences alone: of many short runs nobody reads every step."""
    if "message" in event:
        report(event)


def _name(config: PretrainConfig, source: Artifact) -> str:
    content = json.dumps([to_mapping(config), source.digest], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _curves(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the losses of a log, and those on the way."""
    found: dict[str, Any] = {"steps": [], "losses": [], "validation_steps": [], "validation_losses": []}
    for row in rows:
        for prefix in ("", "validation_"):
            if f"{prefix}loss" in row:
                found[f"{prefix}steps"].append(row["step"])
                found[f"{prefix}losses"].append(row[f"{prefix}loss"])
    return found


def unigram_loss(source: Artifact) -> float:
    """Return nats per token of the validation split under the training split's frequencies, one added to every
    count.
    """
    training = TokenShards.open(source, "train")
    counts = np.ones(training.vocab_size)
    for ids in _blocks(training):
        counts += np.bincount(ids, minlength=training.vocab_size)
    log_probabilities = np.log(counts / counts.sum())
    stream = TokenStream(TokenShards.open(source, "validation"))
    total = math.fsum(float(log_probabilities[ids].sum()) for ids in _blocks(TokenShards.open(source, "validation")))
    return -total / len(stream)


def _blocks(shards: TokenShards) -> Iterator[Any]:
    for shard in shards.shards:
        yield shard.tokens
