"""The deduplication index of documents, without their texts: ids, addresses, hashes, ranking properties, band keys.

A partition's index is a folder with one Arrow IPC file and the band keys as NumPy arrays. The schema's metadata names
the scheme of the signatures; indexes of different schemes cannot be joined. All files are memory-mapped: ids, addresses
and band keys take memory only where they are read. Hashes, lengths and qualities take 40 bytes per document.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lm.errors import InputError
from pipelines.dedup import minhash
from pipelines.dedup.array_files import map_array, save_array
from pipelines.dedup.clusters import Mask
from pipelines.dedup.minhash import Bands
from pipelines.dedup.minhash_config import MinHashConfig

_SCHEME_KEY = b"loam.signatures"
_ARRAYS = ("members", "keys", "content")


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentIndex:
    """One row per document. `hashes` are of the texts, `url_hashes` of the addresses, `lengths` in characters, a
    missing quality is NaN; `bands` hold the band keys of the documents that are `valid`, long enough for a signature.
    """

    scheme: str
    doc_ids: pa.ChunkedArray
    urls: pa.ChunkedArray
    url_hashes: npt.NDArray[np.uint64]
    hashes: npt.NDArray[np.uint64]
    lengths: npt.NDArray[np.int64]
    qualities: npt.NDArray[np.float64]
    valid: Mask
    bands: Sequence[Bands]

    @classmethod
    def empty(cls, config: MinHashConfig) -> DocumentIndex:
        """Return an index without documents."""
        hashes, strings = np.empty(0, np.uint64), pa.chunked_array([], pa.string())
        return cls(
            scheme=minhash.scheme(config),
            doc_ids=strings,
            urls=strings,
            url_hashes=hashes,
            hashes=hashes,
            lengths=np.empty(0, np.int64),
            qualities=np.empty(0, np.float64),
            valid=np.empty(0, np.bool_),
            bands=[minhash.bands(minhash.sign([], config), config)],
        )

    @classmethod
    def join(cls, parts: Sequence[DocumentIndex]) -> DocumentIndex:
        """Return the rows of several indexes, one after the other; band keys are not copied.

        Raises:
            InputError: their signatures are of different schemes.
        """
        minhash.check_schemes([part.scheme for part in parts])
        bands, first = [], 0
        for part in parts:
            bands += [Bands(each.members + first, each.keys, each.content) for each in part.bands]
            first += len(part.doc_ids)
        return cls(
            scheme=parts[0].scheme,
            doc_ids=_chunks([part.doc_ids for part in parts]),
            urls=_chunks([part.urls for part in parts]),
            url_hashes=np.concatenate([part.url_hashes for part in parts]),
            hashes=np.concatenate([part.hashes for part in parts]),
            lengths=np.concatenate([part.lengths for part in parts]),
            qualities=np.concatenate([part.qualities for part in parts]),
            valid=np.concatenate([part.valid for part in parts]),
            bands=bands,
        )

    def content(self) -> npt.NDArray[np.uint64]:
        """Return the content key of every document; 0 for a document without a signature."""
        keys = np.zeros(self.valid.size, np.uint64)
        for each in self.bands:
            keys[each.members] = each.content
        return keys


def write_document_index(folder: Path, index: DocumentIndex) -> None:
    """Write an index into a new folder."""
    folder.mkdir()
    columns = {
        "doc_id": index.doc_ids,
        "url": index.urls,
        "url_hash": pa.array(index.url_hashes),
        "hash": pa.array(index.hashes),
        "length": pa.array(index.lengths),
        "quality": pa.array(index.qualities),
        "valid": pa.array(index.valid),
    }
    table = pa.table(columns).replace_schema_metadata({_SCHEME_KEY: index.scheme.encode()})
    with pa.OSFile(str(folder / "documents.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    joint: dict[str, npt.NDArray[Any]] = {
        "members": np.concatenate([each.members for each in index.bands]),
        "keys": np.concatenate([each.keys for each in index.bands], axis=1),
        "content": np.concatenate([each.content for each in index.bands]),
    }
    for name in _ARRAYS:
        save_array(folder / f"{name}.npy", joint[name])


def read_document_index(folder: Path) -> DocumentIndex:
    """Map an index that `write_document_index` wrote.

    Raises:
        InputError: the folder does not hold an index of documents.
    """
    path = folder / "documents.arrow"
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        scheme = (table.schema.metadata or {})[_SCHEME_KEY].decode()
        arrays = [map_array(folder / f"{name}.npy") for name in _ARRAYS]
    except (OSError, pa.ArrowInvalid, KeyError, ValueError) as error:
        raise InputError(f"{path}: not an index of documents ({error})") from None
    return DocumentIndex(
        scheme=scheme,
        doc_ids=table.column("doc_id"),
        urls=table.column("url"),
        url_hashes=table.column("url_hash").to_numpy(),
        hashes=table.column("hash").to_numpy(),
        lengths=table.column("length").to_numpy(),
        qualities=table.column("quality").to_numpy(),
        valid=table.column("valid").to_numpy(),
        bands=[Bands(*arrays)],
    )


def _chunks(columns: Sequence[pa.ChunkedArray]) -> pa.ChunkedArray:
    return pa.chunked_array([chunk for column in columns for chunk in column.chunks], pa.string())
