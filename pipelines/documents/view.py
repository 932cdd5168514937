"""The composed view of an artifact's documents: extracted text with the columns and changes of later stages.

An artifact of documents is either stored (`documents.parquet` and `removals.parquet`) or judged (`verdicts.parquet`
over the documents of its sources; see `pipelines.documents.verdicts`). Both may have `texts.parquet`, whose texts
replace those of their rows.

Columns that a stage measures for the next stage (`MEASURED`) are visible in its own artifact only.

A judged artifact is read through the sources that it was made from. If a source has been remade with another digest,
the artifact is stale and reading it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lm.errors import InputError, IntegrityError
from lm.storage import Artifact, open_artifact
from pipelines.documents.schema import MEASURED, REMOVAL_SCHEMA
from pipelines.documents.tables import DOCUMENTS, REMOVALS, TEXTS, VERDICTS, read_rows
from pipelines.documents.verdicts import RESERVED, TEXT_SCHEMA

Batches = Iterator[pa.RecordBatch]


def read_documents(artifact: Artifact, columns: Sequence[str] | None = None) -> Batches:
    """Yield the documents of an artifact, in order, a batch at a time; `columns` defaults to all.

    Raises:
        IntegrityError: a file changed on disk, or a source was remade.
    """
    if DOCUMENTS in artifact.files:
        yield from _with_texts(artifact, read_rows(artifact, DOCUMENTS, columns))
        return
    own = [name for name in added_columns(artifact) if columns is None or name in columns]
    theirs = None if columns is None else [name for name in columns if name not in own]
    for batch, verdicts in _judged(artifact, theirs, own):
        for name in own:
            batch = batch.append_column(name, verdicts.column(name))
        wanted = batch if columns is None else batch.select(list(columns))
        kept = verdicts.column("kept")
        if kept.true_count:
            yield wanted if kept.true_count == batch.num_rows else wanted.filter(kept)


def read_schema(artifact: Artifact) -> pa.Schema:
    """Return the columns of an artifact's documents."""
    if DOCUMENTS in artifact.files:
        return pq.read_schema(artifact.file(DOCUMENTS))
    schema = pa.schema([field for field in read_schema(sources(artifact)[0]) if not field.name.startswith(MEASURED)])
    for field in _added_fields(artifact):
        schema = schema.append(field)
    return schema


def added_columns(artifact: Artifact) -> list[str]:
    """Return the columns that the stage of a judged artifact added; a stored artifact has none."""
    return [] if DOCUMENTS in artifact.files else [field.name for field in _added_fields(artifact)]


def count_documents(artifact: Artifact) -> int:
    """Return the number of an artifact's documents."""
    if DOCUMENTS in artifact.files:
        return int(pq.read_metadata(artifact.file(DOCUMENTS)).num_rows)
    return sum(batch.column("kept").true_count for batch in read_rows(artifact, VERDICTS, ["kept"]))


def count_removals(artifact: Artifact) -> int:
    """Return the number of an artifact's removals."""
    if DOCUMENTS in artifact.files:
        return int(pq.read_metadata(artifact.file(REMOVALS)).num_rows)
    return sum(batch.num_rows - batch.column("kept").true_count for batch in read_rows(artifact, VERDICTS, ["kept"]))


def read_table(artifact: Artifact, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the documents of an artifact as one table in memory."""
    schema = read_schema(artifact)
    wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
    return pa.Table.from_batches([batch.cast(wanted) for batch in read_documents(artifact, columns)], wanted)


def read_removals(artifact: Artifact) -> pa.Table:
    """Return the removals of an artifact (`REMOVAL_SCHEMA`), in the order of the incoming documents."""
    if DOCUMENTS in artifact.files:
        return pq.read_table(artifact.file(REMOVALS), columns=REMOVAL_SCHEMA.names)
    stage, batches = str(artifact.summary["stage"]), []
    for batch, verdicts in _judged(artifact, ["url"], [name for name in RESERVED if name not in ("doc_id", "kept")]):
        gone = verdicts.append_column("url", batch.column("url")).filter(pc.invert(verdicts.column("kept")))
        gone = gone.append_column("stage", pa.repeat(stage, gone.num_rows))
        batches.append(gone.select(REMOVAL_SCHEMA.names).cast(REMOVAL_SCHEMA))
    return pa.Table.from_batches(batches, REMOVAL_SCHEMA)


def find_verdict(artifact: Artifact, doc_id: str) -> dict[str, Any] | None:
    """Return an artifact's own entry for the document with this id, without its sources, or None.

    `kept`; the columns of the document, or those that the stage added, and `text` where it changed the text; or the
    rule that removed the document, with its value, threshold and duplicate.
    """
    if DOCUMENTS not in artifact.files:
        found = _find(artifact, VERDICTS, doc_id)
    elif (found := _find(artifact, DOCUMENTS, doc_id)) is not None:
        found["kept"] = True
    elif (found := _find(artifact, REMOVALS, doc_id)) is not None:
        found["kept"] = False
    change = _find(artifact, TEXTS, doc_id) if TEXTS in artifact.files else None
    return found if found is None or change is None else {**found, "text": change["text"]}


def sources(artifact: Artifact) -> list[Artifact]:
    """Return the source artifacts of a judged artifact, in order; a stored artifact has none.

    Raises:
        IntegrityError: a source was remade or is missing.
    """
    return [_source(artifact, each["path"], each["digest"]) for each in artifact.summary.get("sources", ())]


def chain(artifact: Artifact) -> list[Artifact]:
    """Return all artifacts that the documents of an artifact passed through, stored artifacts first, itself last."""
    return [*(each for source in sources(artifact) for each in chain(source)), artifact]


def _judged(
    artifact: Artifact, columns: Sequence[str] | None, own: Sequence[str]
) -> Iterator[tuple[pa.RecordBatch, pa.RecordBatch]]:
    """Yield the documents that came in, with changed texts, and their verdicts: `doc_id`, `kept` and the columns
    `own`.
    """
    verdicts = _Cursor(read_rows(artifact, VERDICTS, ["doc_id", "kept", *own]))
    wanted = None if columns is None else list(dict.fromkeys(["doc_id", *columns]))
    incoming = (_without_measured(batch) for source in sources(artifact) for batch in read_documents(source, wanted))
    for batch in _with_texts(artifact, incoming):
        rows = verdicts.take(batch.num_rows)
        if rows is None or not rows.column("doc_id").equals(batch.column("doc_id")):
            raise IntegrityError(f"{artifact.path}: its verdicts do not match the documents of its sources")
        yield batch, rows
    if verdicts.take(1) is not None:
        raise IntegrityError(f"{artifact.path}: has more verdicts than its sources have documents")


def _without_measured(batch: pa.RecordBatch) -> pa.RecordBatch:
    measured = [name for name in batch.schema.names if name.startswith(MEASURED)]
    return batch.drop_columns(measured) if measured else batch


def _with_texts(artifact: Artifact, batches: Batches) -> Batches:
    """Yield the batches with the texts that the artifact changed."""
    if TEXTS not in artifact.files:
        yield from batches
        return
    changes, first = _Changes(read_rows(artifact, TEXTS, ["row", "text"])), 0
    for batch in batches:
        place = batch.schema.get_field_index("text")
        if place >= 0 and batch.num_rows:
            rows, texts = changes.before(first + batch.num_rows)
            if len(rows):
                mask = pc.is_in(pa.array(range(first, first + batch.num_rows), pa.int64()), value_set=rows)
                replaced = pc.replace_with_mask(batch.column(place), mask, texts)
                batch = batch.set_column(place, batch.schema.field(place), replaced)
        first += batch.num_rows
        yield batch


class _Cursor:
    """The rows of a table, as many at a time as are wanted."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._left = pa.RecordBatch.from_pylist([])

    def take(self, number: int) -> pa.RecordBatch | None:
        """Return the next rows, one at least; None where fewer are left."""
        parts: list[pa.RecordBatch] = []
        while number > 0:
            if self._left.num_rows == 0:
                following = next(self._batches, None)
                if following is None:
                    return None
                self._left = following
                continue
            parts.append(self._left.slice(0, number))
            number -= parts[-1].num_rows
            self._left = self._left.slice(parts[-1].num_rows)
        return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


class _Changes:
    """Changed texts, by ascending rows."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self._left = pa.schema([TEXT_SCHEMA.field("row"), TEXT_SCHEMA.field("text")]).empty_table()

    def before(self, end: int) -> tuple[pa.Int64Array, pa.LargeStringArray]:
        """Return the rows below `end` that were not returned yet, and their texts."""
        while self._left.num_rows == 0 or self._left.column("row")[-1].as_py() < end:
            following = next(self._batches, None)
            if following is None:
                break
            self._left = pa.concat_tables([self._left, pa.Table.from_batches([following])])
        number = pc.sum(pc.less(self._left.column("row"), end)).as_py() or 0
        found, self._left = self._left.slice(0, number), self._left.slice(number)
        return found.column("row").combine_chunks(), found.column("text").combine_chunks()


def _added_fields(artifact: Artifact) -> list[pa.Field]:
    return [field for field in pq.read_schema(artifact.file(VERDICTS)) if field.name not in RESERVED]


def _find(artifact: Artifact, name: str, doc_id: str) -> dict[str, Any] | None:
    rows = pq.read_table(artifact.file(name), filters=pc.field("doc_id") == doc_id).to_pylist()
    return dict(rows[0]) if rows else None


def _source(artifact: Artifact, place: str, digest: str) -> Artifact:
    path = _relative(artifact.path, place)
    try:
        return open_artifact(path, digest=digest)
    except (InputError, IntegrityError) as error:
        raise IntegrityError(
            f"{artifact.path}: stale, since its source has changed; materialize it again: {error}"
        ) from None


def _relative(path: Path, place: str) -> Path:
    """Return the path at `place`, as in `../../name`, seen from `path`; also in a store, whose URLs have no `..`."""
    parts = place.split("/")
    num_up = parts.count("..")
    return (path.parents[num_up - 1] if num_up else path).joinpath(*parts[num_up:])
