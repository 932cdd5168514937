"""Evaluations of a running training as asset observations, which Dagster's page plots while the training runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from assets.support.plots import rounded
from lm.training.metrics import live_rows

_POLL_S = 2.0
_OBSERVED = "validation_loss"


@contextmanager
def observed(context: dg.AssetExecutionContext, output: Path) -> Iterator[None]:
    """Report an `AssetObservation` for every evaluation of the training at `output`, as long as the block runs.

    Evaluations that the live view holds already, of an earlier part of the run, are not reported again.
    """
    ended, seen = threading.Event(), {_identity(row) for row in evaluations(output)}
    watcher = threading.Thread(target=_watch, args=(context, output, ended, seen), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def evaluations(output: Path) -> list[dict[str, float]]:
    """Return the step, the losses and the tokens of every evaluation so far, from the live view of the training."""
    return [
        {name: value for name, value in row.items() if name == "step" or name.startswith(_OBSERVED)}
        for row in live_rows(output)
        if _OBSERVED in row
    ]


def _watch(context: dg.AssetExecutionContext, output: Path, ended: threading.Event, seen: set[tuple[Any, ...]]) -> None:
    last = False
    while not last:
        last = ended.wait(_POLL_S)  # what came just before the end is reported too
        for row in evaluations(output):
            if _identity(row) not in seen:
                seen.add(_identity(row))
                metadata = {name: rounded(value) if name != "step" else value for name, value in row.items()}
                context.instance.report_runless_asset_event(dg.AssetObservation(context.asset_key, metadata=metadata))


def _identity(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(sorted(row.items()))
