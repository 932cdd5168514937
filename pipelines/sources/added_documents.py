"""Added documents: JSON Lines or Parquet files of other collections, each a source of the corpus.

Added documents join the corpus after its deduplication. They are not judged, masked or compared with the crawl, but are
searched for evaluation items like every document. An empty text is removed by the rule `empty`.

The columns that place a crawled document in its WARC file place an added document in its own file: `crawl` is the name
of the source, `warc_path` the file's name, `warc_offset` the line or row (from 1). `doc_id` is the UUID (version 5) of
the source's name and the document's own id, or where there is none, of its file and line; `url` is the document's own,
or `SOURCE:FILE#LINE`.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq

from lm import progress, storage
from lm.configuration import Doc, settle, to_mapping
from lm.errors import ConfigurationError, InputError
from lm.storage import Artifact, Publication
from pipelines.documents.accounts import DOCUMENTS_KIND, Counts, PartitionWriter
from pipelines.documents.schema import DOCUMENT_SCHEMA, Verdict, judged
from pipelines.sources.json_lines import read_json_lines

STAGE = "added"
_KINDS = (".jsonl", ".jsonl.gz", ".parquet")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAMESPACE = uuid.UUID("3c1e2f5a-6b7d-5e8f-9a0b-1c2d3e4f5a6b")
_BATCH_ROWS = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentSource:
    """A collection of documents in files.

    Raises:
        ConfigurationError: at construction, an invalid name.
    """

    name: Annotated[str, Doc("Name of the source in shards and mixtures.")]
    path: Annotated[str, Doc("A .jsonl, .jsonl.gz or .parquet file, or a folder of such files.")]
    text_field: Annotated[str, Doc("The field or column of the text.")] = "text"
    id_field: Annotated[str | None, Doc("The field or column of the document's own id; empty uses file and line.")] = (
        None
    )
    url_field: Annotated[
        str | None, Doc("The field or column of the document's URL; empty uses source, file and line.")
    ] = None

    def __post_init__(self) -> None:
        settle(self, "sources")
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"sources.name: '{self.name}', expected up to 64 letters, digits, dots, hyphens or underscores"
            )


def publish_added_documents(sources: Sequence[DocumentSource], target: Path) -> Artifact:
    """Read all sources and publish one table of documents; the summary counts each source.

    Raises:
        ConfigurationError: two sources have one name.
        InputError: a file is missing or unreadable, a row lacks its text, or an id comes twice.
        NoSpaceError: the disk is full.
    """
    names = [each.name for each in sources]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"sources: {names.count(twice)} are named '{twice}', expected one")
    files = {each.name: files_of(each) for each in sources}

    def write(publication: Publication) -> None:
        counts, by_source, seen = Counts(), {}, set[str]()
        with PartitionWriter(publication.path, DOCUMENT_SCHEMA) as writer:
            for each in sources:
                before = counts.num_kept
                for batch in _batches(each, files[each.name], seen):
                    empty = Verdict(rule="empty")
                    texts = batch.column("text").to_pylist()
                    judgement = judged(batch, [None if text.strip() else empty for text in texts])
                    counts.judge(batch, judgement)
                    writer.write(*judgement.split(STAGE))
                by_source[each.name] = counts.num_kept - before
        publication.summary.update(counts.summary(STAGE), documents_by_source=by_source)

    without_paths = [{key: value for key, value in to_mapping(each).items() if key != "path"} for each in sources]
    return storage.make(
        target,
        write,
        kind=DOCUMENTS_KIND,
        config={"stage": STAGE, "sources": without_paths},
        inputs={f"{name}/{path.name}": storage.sha256_of(path) for name, paths in files.items() for path in paths},
    )


def files_of(source: DocumentSource) -> list[Path]:
    """Return the files of a source, by name.

    Raises:
        InputError: no file, or a file of another kind.
    """
    path = Path(source.path)
    found = sorted(each for each in path.iterdir() if each.name.endswith(_KINDS)) if path.is_dir() else [path]
    for each in found:
        if not each.is_file():
            raise InputError(f"{each}: no such file, expected documents of source '{source.name}'")
        if not each.name.endswith(_KINDS):
            raise InputError(f"{each}: expected a file that ends in {', '.join(_KINDS)}")
    if not found:
        raise InputError(f"{path}: holds no files that end in {', '.join(_KINDS)}")
    return found


def _batches(source: DocumentSource, files: Sequence[Path], seen: set[str]) -> Iterator[pa.RecordBatch]:
    """Yield the documents of a source; `seen` has the ids so far and is extended."""
    waiting: list[dict[str, Any]] = []
    for path in progress.track(files, f"read {source.name}", total=len(files), unit="file"):
        for line, row in _rows(source, path):
            waiting.append(_document(source, path, line, row, seen))
            if len(waiting) == _BATCH_ROWS:
                yield pa.RecordBatch.from_pylist(waiting, schema=DOCUMENT_SCHEMA)
                waiting = []
    if waiting:
        yield pa.RecordBatch.from_pylist(waiting, schema=DOCUMENT_SCHEMA)


def _rows(source: DocumentSource, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Number and fields of each row of a file."""
    if path.suffix != ".parquet":
        yield from read_json_lines(path)
        return
    columns = list(filter(None, (source.text_field, source.id_field, source.url_field)))
    try:
        with pq.ParquetFile(path) as file:
            for name in columns:
                if name not in file.schema_arrow.names:
                    found = ", ".join(file.schema_arrow.names)
                    raise InputError(f"{path}: no column '{name}'; found {found}")
            number = 0
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=columns):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: not a Parquet file ({error})") from None


def _document(source: DocumentSource, path: Path, line: int, row: Mapping[str, Any], seen: set[str]) -> dict[str, Any]:
    """Return one row as a document."""
    text = row.get(source.text_field)
    if not isinstance(text, str):
        found = ", ".join(map(str, row)) if source.text_field not in row else f"a {type(text).__name__}"
        raise InputError(f"{path}:{line}: no text in field '{source.text_field}'; found {found}")
    own = f"{path.name}#{line}" if source.id_field is None else _field(row, source.id_field, path, line)
    doc_id = str(uuid.uuid5(_NAMESPACE, f"{source.name}\n{own}"))
    if doc_id in seen:
        raise InputError(f"{path}:{line}: duplicate id '{own}' in source '{source.name}'")
    seen.add(doc_id)
    url = f"{source.name}:{path.name}#{line}" if source.url_field is None else _field(row, source.url_field, path, line)
    return {
        "doc_id": doc_id,
        "url": url,
        "crawl": source.name,
        "warc_path": path.name,
        "warc_offset": line,
        "fetched_at": "",
        "text": text.encode("utf-8", "replace").decode(),
    }


def _field(row: Mapping[str, Any], name: str, path: Path, line: int) -> str:
    if row.get(name) is None:
        raise InputError(f"{path}:{line}: no field '{name}'; found {', '.join(map(str, row))}")
    return str(row[name])
