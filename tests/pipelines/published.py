"""Documents as published artifacts, for tests of what reads them."""

import pyarrow as pa
import pyarrow.parquet as pq

from lm import storage
from pipelines.documents.schema import DOCUMENT_SCHEMA, REMOVAL_SCHEMA
from pipelines.documents.tables import DOCUMENTS, REMOVALS
from pipelines.documents.view import read_removals, read_table


def doc_id(number):
    return f"00000000-0000-4000-8000-{number:012d}"


def publish_documents(target, texts, first=0, urls=None, qualities=None, crawl="test"):
    """An artifact of documents numbered from `first`."""
    rows = [
        {
            "doc_id": doc_id(first + i),
            "url": urls[i] if urls else f"https://example.org/{first + i}",
            "crawl": crawl,
            "warc_path": "a.warc.gz",
            "warc_offset": first + i,
            "fetched_at": "2024-01-01T00:00:00Z",
            "text": text,
            **({"quality_score": qualities[i]} if qualities else {}),
        }
        for i, text in enumerate(texts)
    ]
    schema = DOCUMENT_SCHEMA.append(pa.field("quality_score", pa.float32())) if qualities else DOCUMENT_SCHEMA
    with storage.publish(target, kind="documents", config={}, inputs={}, code="") as publication:
        table = pa.Table.from_pylist(rows, schema=schema)
        pq.write_table(table, publication.path / DOCUMENTS)
        pq.write_table(REMOVAL_SCHEMA.empty_table(), publication.path / REMOVALS)
    return publication.artifact


def rows_of(artifact, name=DOCUMENTS):
    """The rows of a table of an artifact, documents and removals composed from its sources."""
    if name == DOCUMENTS:
        return read_table(artifact).to_pylist()
    return (read_removals(artifact) if name == REMOVALS else pq.read_table(artifact.file(name))).to_pylist()
