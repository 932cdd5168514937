"""Materialization metadata: charts, the counts of the artifact's manifest, its size, digest and place, and the time."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from assets.support import plots
from lm.storage import Artifact

Plots = Mapping[str, dg.MetadataValue[Any]]

HEADLINES = (
    "bits_per_byte", "validation_loss", "num_kept", "num_in", "num_removed", "num_lost", "num_pages", "num_tokens",
    "vocab_size", "bytes_per_token", "fertility", "num_parameters", "flops",
)  # fmt: skip
"""Entries of summaries that are shown first."""

COLUMNS = {
    "doc_id": "UUID of the WARC-Record-ID",
    "url": "Address of the page",
    "crawl": "Crawl, or collection of added documents",
    "warc_path": "WARC file of the record",
    "warc_offset": "Byte of the record in the stored file",
    "fetched_at": "WARC-Date, ISO 8601 in UTC",
    "text": "Main text",
    "language": "ISO 639-1 code",
    "language_score": "Confidence in the language, 0 to 1",
    "toxic_score": "Score of the classifier of toxic text, 0 to 1",
    "adult_score": "Score of the classifier of adult content, 0 to 1",
    "quality_score": "Score of the quality classifier, 0 to 1",
    "num_pii": "Masked items of personal data",
}
"""Descriptions of the columns of documents."""

_HIDDEN = frozenset({"sources", "signature_scheme"})
"""Entries of a summary that a program reads: digests of other artifacts."""

_ROW_COUNTS = ("num_kept", "num_documents", "num_texts", "num_warc_files")
_DIGEST_DIGITS = 12


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
    """Return the artifact's summary, headline figures first, then its size, digest and place.

    Numbers are numbers, which Dagster plots over time, rounded to four digits; tables of counts are tables.
    """
    summary = {name: artifact.summary[name] for name in (*HEADLINES, *artifact.summary) if name in artifact.summary}
    return {
        **{name: value for key, found in summary.items() for name, value in _values(key, found)},
        **_rows_and_columns(artifact),
        "size": dg.MetadataValue.text(plots.bytes_text(artifact.size_bytes)),
        "num_files": dg.MetadataValue.int(len(artifact.files)),
        "digest": dg.MetadataValue.text(artifact.digest[:_DIGEST_DIGITS]),
        "code": dg.MetadataValue.text(artifact.code[:_DIGEST_DIGITS]),
        "path": plots.path(artifact.path),
    }


def result(
    artifact: Artifact,
    watch: Stopwatch,
    shown: Plots | None = None,
    checks: Sequence[dg.AssetCheckResult] = (),
    without: Collection[str] = (),
) -> dg.MaterializeResult[Any]:
    """Return the result of an asset that published one artifact; its digest is the data version.

    Entries `without` of the artifact's summary are left out: `shown` has their figures in another form.
    """
    found = {name: value for name, value in group_metadata(shown or {}, artifact).items() if name not in without}
    metadata = {**found, "seconds": dg.MetadataValue.float(watch.seconds)}
    return dg.MaterializeResult(
        metadata=metadata, data_version=dg.DataVersion(artifact.digest), check_results=list(checks)
    )


def partition_results(
    context: dg.AssetExecutionContext,
    artifacts: Mapping[str, Artifact],
    watch: Stopwatch,
    shown_of: Callable[[str, Artifact], Plots] | None = None,
    joint: Plots | None = None,
) -> dg.MaterializeResult[Any]:
    """Return the result of a partitioned asset: each partition gets the metadata of its own artifact, and `joint`."""
    for partition, artifact in artifacts.items():
        metadata = group_metadata(shown_of(partition, artifact) if shown_of else {}, artifact)
        everything = {**metadata, **(joint or {}), "seconds": dg.MetadataValue.float(watch.seconds)}
        context.add_asset_metadata(everything, partition_key=partition)
    return dg.MaterializeResult(data_version=dg.DataVersion(joint_digest(artifacts.values())))


def group_metadata(shown: Plots, artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    """Return inline charts, headline figures, what else is `shown`, and the rest of the artifact's metadata.

    An entry of `shown` replaces metadata of the same name.
    """
    metadata = {name: value for name, value in artifact_metadata(artifact).items() if name not in shown}
    first = [name for name, value in shown.items() if plots.is_inline(value)]
    headlines = [name for name in HEADLINES if name in metadata]
    everything = {**shown, **metadata}
    return {name: _readable(name, everything[name]) for name in dict.fromkeys([*first, *headlines, *shown, *metadata])}


def _readable(name: str, value: dg.MetadataValue[Any]) -> dg.MetadataValue[Any]:
    """Return a number as people read it: FLOPs with their unit, any other rounded to four digits."""
    if isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) and value.value is not None:
        if "flops" in name:
            return dg.MetadataValue.text(str(plots.readable({name: value.value})[name]))
        if isinstance(value, dg.FloatMetadataValue):
            return dg.MetadataValue.float(plots.rounded(value.value))
    return value


def joint_digest(artifacts: Iterable[Artifact]) -> str:
    """Return the data version of several artifacts together; of one alone, its digest."""
    digests = [artifact.digest for artifact in artifacts]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def _values(name: str, value: Any) -> Iterator[tuple[str, dg.MetadataValue[Any]]]:
    """Yield the metadata of one entry of a summary; none of an empty one."""
    if name in _HIDDEN or (isinstance(value, Mapping | list) and not value):
        return
    if isinstance(value, bool):
        yield name, dg.MetadataValue.bool(value)
    elif isinstance(value, int):
        yield name, dg.MetadataValue.text(plots.bytes_text(value)) if "bytes" in name else dg.MetadataValue.int(value)
    elif isinstance(value, float):
        yield name, dg.MetadataValue.float(plots.rounded(value))
    elif isinstance(value, str):
        yield name, dg.MetadataValue.text(value[:_DIGEST_DIGITS] if name.endswith("digest") else value)
    elif isinstance(value, Mapping) and all(isinstance(each, int | float | str) for each in value.values()):
        yield name, plots.table([{"name": key, "value": _plain(each)} for key, each in value.items()])
    elif isinstance(value, Mapping) and all(isinstance(each, Mapping) for each in value.values()):
        columns = list(dict.fromkeys(column for each in value.values() for column in each))
        rows = [{"name": key, **{c: _plain(each.get(c)) for c in columns}} for key, each in value.items()]
        yield name, plots.table(rows)
    elif isinstance(value, list) and all(isinstance(each, Mapping) for each in value):
        yield name, plots.table([{key: _plain(each) for key, each in row.items()} for row in value])
    elif isinstance(value, list) and all(isinstance(each, str) for each in value):
        yield name, dg.MetadataValue.text(", ".join(value))
    else:
        yield name, dg.MetadataValue.json(value)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else json.dumps(value)


def _description(column: str) -> str | None:
    if column.startswith("num_pii_"):
        return f"Masked items of kind {column.removeprefix('num_pii_').replace('_', ' ')}"
    return COLUMNS.get(column)


def _rows_and_columns(artifact: Artifact) -> dict[str, dg.MetadataValue[Any]]:
    """Return Dagster's own entries of a table: its number of rows, and for documents the columns."""
    rows = next((artifact.summary[name] for name in _ROW_COUNTS if name in artifact.summary), None)
    if rows is None:
        return {}
    found: dict[str, dg.MetadataValue[Any]] = {"dagster/row_count": dg.MetadataValue.int(rows)}
    if artifact.kind == "documents":
        from pipelines.documents.view import read_schema

        columns = [
            dg.TableColumn(field.name, str(field.type), description=_description(field.name))
            for field in read_schema(artifact)
        ]
        found["dagster/column_schema"] = dg.MetadataValue.table_schema(dg.TableSchema(columns))
    return found
