"""Materialization metadata: the artifact's path, size and digest, the counts of its manifest, and the time taken."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from lm.storage import Artifact

Plots = Mapping[str, dg.MetadataValue[Any]]


class Stopwatch:
    """A clock: seconds since its creation."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the start, to a hundredth."""
        return round(time.monotonic() - self._start, 2)


def in_log(context: dg.AssetExecutionContext) -> Callable[[Mapping[str, object]], None]:
    """Return a `report` function that writes every event into the run's log."""
    return lambda event: context.log.info("  ".join(f"{name} {value}" for name, value in event.items()))


def artifact_metadata(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    """Return the artifact's path and digest, and every count of its summary as a number that Dagster plots over
    time.
    """
    metadata: dict[str, dg.MetadataValue[Any]] = {
        "path": dg.MetadataValue.path(str(artifact.path)),
        "size_bytes": dg.MetadataValue.int(artifact.size_bytes),
        "digest": dg.MetadataValue.text(artifact.digest),
        "num_files": dg.MetadataValue.int(len(artifact.files)),
    }
    for name, value in artifact.summary.items():
        metadata[name] = _value(value)
    return metadata


def result(
    artifact: Artifact,
    watch: Stopwatch,
    plots: Plots | None = None,
    checks: Sequence[dg.AssetCheckResult] = (),
) -> dg.MaterializeResult[Any]:
    """The result of an asset that published one artifact; its digest is the data version."""
    metadata = {"seconds": dg.MetadataValue.float(watch.seconds), **group_metadata(plots or {}, artifact)}
    return dg.MaterializeResult(
        metadata=metadata, data_version=dg.DataVersion(artifact.digest), check_results=list(checks)
    )


def partition_results(
    context: dg.AssetExecutionContext,
    artifacts: Mapping[str, Artifact],
    watch: Stopwatch,
    plots_of: Callable[[str, Artifact], Plots] | None = None,
    joint: Plots | None = None,
) -> dg.MaterializeResult[Any]:
    """The result of a partitioned asset: each partition gets the metadata of its own artifact, and `joint`."""
    for partition, artifact in artifacts.items():
        metadata = group_metadata(plots_of(partition, artifact) if plots_of else {}, artifact)
        context.add_asset_metadata(metadata, partition_key=partition)
    return dg.MaterializeResult(
        metadata={"seconds": dg.MetadataValue.float(watch.seconds), **(joint or {})},
        data_version=dg.DataVersion(joint_digest(artifacts.values())),
    )


def group_metadata(plots: Plots, artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    """Return plots, then the artifact's metadata; a plot replaces metadata of the same name."""
    return {**plots, **{name: value for name, value in artifact_metadata(artifact).items() if name not in plots}}


def joint_digest(artifacts: Iterable[Artifact]) -> str:
    """Return the data version of several artifacts together; of one alone, its digest."""
    digests = [artifact.digest for artifact in artifacts]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _value(value: Any) -> dg.MetadataValue[Any]:
    if isinstance(value, bool):
        return dg.MetadataValue.bool(value)
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    if isinstance(value, float):
        return dg.MetadataValue.float(value)
    if isinstance(value, str):
        return dg.MetadataValue.text(value)
    return dg.MetadataValue.json(value)
