"""What deduplication knows of documents without their texts: ids, addresses, text hashes, ranks, signatures.

On disk one Arrow IPC file; the scheme of its signatures stands in the schema's metadata, and tables of different
schemes refuse to be joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lm.errors import InputError
from pipelines import minhash
from pipelines.minhash import MinHashConfig, Signatures

_SCHEME_KEY = b"loam.signatures"


@dataclass(frozen=True, kw_only=True, slots=True)
class SignatureTable:
    """One row a document. `hashes` are of the texts, `lengths` in characters, a missing quality is NaN."""

    doc_ids: list[str]
    urls: list[str]
    hashes: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.int64]
    qualities: npt.NDArray[np.float64]
    signatures: Signatures

    @classmethod
    def empty(cls, config: MinHashConfig) -> SignatureTable:
        """The table of no documents."""
        return cls(
            doc_ids=[],
            urls=[],
            hashes=np.empty(0, np.uint64),
            lengths=np.empty(0, np.int64),
            qualities=np.empty(0, np.float64),
            signatures=minhash.sign([], config),
        )

    @classmethod
    def join(cls, tables: Sequence[SignatureTable]) -> SignatureTable:
        """The rows of several tables, one table after the other.

        Raises:
            InputError: their signatures are of different schemes.
        """
        return cls(
            doc_ids=[doc_id for table in tables for doc_id in table.doc_ids],
            urls=[url for table in tables for url in table.urls],
            hashes=np.concatenate([table.hashes for table in tables]),
            lengths=np.concatenate([table.lengths for table in tables]),
            qualities=np.concatenate([table.qualities for table in tables]),
            signatures=minhash.join([table.signatures for table in tables]),
        )


def write_signature_table(path: Path, table: SignatureTable) -> None:
    """Write a table to one Arrow IPC file."""
    values = table.signatures.values
    columns = {
        "doc_id": pa.array(table.doc_ids, pa.string()),
        "url": pa.array(table.urls, pa.string()),
        "hash": pa.array(table.hashes),
        "length": pa.array(table.lengths),
        "quality": pa.array(table.qualities),
        "valid": pa.array(table.signatures.valid),
        "signature": pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1]),
    }
    written = pa.table(columns).replace_schema_metadata({_SCHEME_KEY: table.signatures.scheme.encode()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, written.schema) as writer:
        writer.write_table(written)


def read_signature_table(path: Path) -> SignatureTable:
    """Read what `write_signature_table` wrote.

    Raises:
        InputError: the file is no such table.
    """
    try:
        with pa.OSFile(str(path), "rb") as source:
            read = pa.ipc.open_file(source).read_all().combine_chunks()
        scheme = (read.schema.metadata or {})[_SCHEME_KEY].decode()
    except (pa.ArrowInvalid, KeyError) as error:
        raise InputError(f"{path}: not a table of signatures ({error})") from None
    width = read.schema.field("signature").type.list_size
    lists = read.column("signature").combine_chunks()
    return SignatureTable(
        doc_ids=read.column("doc_id").to_pylist(),
        urls=read.column("url").to_pylist(),
        hashes=read.column("hash").to_numpy(),
        lengths=read.column("length").to_numpy(),
        qualities=read.column("quality").to_numpy(),
        signatures=Signatures(
            scheme=scheme,
            values=lists.flatten().to_numpy().reshape(-1, width),
            valid=read.column("valid").to_numpy(zero_copy_only=False),
        ),
    )
