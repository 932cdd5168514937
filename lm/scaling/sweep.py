"""A sweep of trainings through the training API, and its points.

The sweep runs over a queue of its own, or over a service whose URL the configuration names; the key then comes from
the environment variable LOAM_API_KEY. Requests that the service knows cost nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lm import storage
from lm.configuration import to_mapping
from lm.errors import ConfigurationError, PartialError
from lm.progress import track
from lm.scaling.sweep_config import POINTS, SweepConfig
from lm.scaling.training_api.client import HttpClient, LocalClient, TrainingClient
from lm.storage import Artifact, Publication
from lm.training.metrics import Report

_KEY = "LOAM_API_KEY"


def run_sweep(config: SweepConfig, *, shards: Path, runs: Path, output: Path, report: Report) -> Artifact:
    """Submit every request, wait for all, and publish the points at `output`.

    Raises:
        OverBudgetError: the requests ask for more FLOPs than are left.
        PartialError: every training failed.
        ConfigurationError: a URL without a key in the environment.
    """
    source = storage.open_artifact(shards)

    def write(publication: Publication) -> None:
        rows = _rows(config, _client(config, runs, shards), report)
        done = [row for row in rows if row["loss"] is not None]
        if not done:
            raise PartialError(
                f"scaling_runs: all {len(rows)} training runs failed; the first error: {rows[0]['error']}"
            )
        storage.write_json(publication.path / POINTS, rows)
        publication.summary.update(
            num_runs=len(rows), num_failed=len(rows) - len(done), charged_flops=sum(row["flops"] for row in rows)
        )

    # Where the trainings ran changes no point.
    settings = {name: value for name, value in to_mapping(config).items() if name not in ("url", "total_flops")}
    return storage.make(output, write, kind="scaling_runs", config=settings, inputs={"token_shards": source.digest})


def _client(config: SweepConfig, runs: Path, shards: Path) -> TrainingClient:
    if not config.url:
        return LocalClient(runs, shards, config.total_flops)
    key = os.environ.get(_KEY, "")
    if not key:
        raise ConfigurationError(f"{_KEY}: not set, expected the key of {config.url}")
    return HttpClient(config.url, key)


def _rows(config: SweepConfig, client: TrainingClient, report: Report) -> list[dict[str, Any]]:
    identities = [client.submit(request).id for request in config.requests()]
    rows = []
    for identity in track(identities, "sweep", unit="run"):
        record = client.result(identity)
        row = {
            **record.request,
            "parameters": record.parameters,
            "tokens": record.tokens,
            "flops": record.charged_flops,
            "loss": record.loss,
            "error": record.error,
        }
        report({name: row[name] for name in ("d_model", "learning_rate", "flops", "loss") if row[name] is not None})
        rows.append(row)
    return rows
