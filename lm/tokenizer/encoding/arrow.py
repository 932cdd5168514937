"""Arrow string arrays to Arrow arrays of token ids, without Python strings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lm.errors import InputError
from lm.tokenizer.text_batches import Bytes, Offsets

Encode = Callable[[Bytes, Offsets], tuple[npt.NDArray[np.uint32], Offsets]]
"""Documents, one after the other in UTF-8, and their borders, to ids and the borders in them."""


def encode_strings(documents: pa.Array | pa.ChunkedArray, encode: Encode, vocab_size: int) -> pa.Array:
    """Return a list of ids a document: `list` for `string`, `large_list` for `large_string`; uint16 or uint32.

    Raises:
        InputError: the array is not of strings, or holds a null or invalid UTF-8.
    """
    if isinstance(documents, pa.ChunkedArray):
        documents = documents.combine_chunks()
    large = pa.types.is_large_string(documents.type)
    if not large and not pa.types.is_string(documents.type):
        raise InputError(f"documents: an array of {documents.type}, expected string or large_string")
    if documents.null_count:
        raise InputError(f"documents: {documents.null_count} of {len(documents)} are null")
    try:
        documents.validate(full=True)
    except pa.ArrowInvalid as error:
        raise InputError(f"documents: {error}") from None
    data, boundaries = _bytes_and_boundaries(documents)
    ids, borders = encode(data, boundaries)
    values = pa.array(ids.astype(np.uint16 if vocab_size <= 2**16 else np.uint32, copy=False))
    if large:
        return pa.LargeListArray.from_arrays(pa.array(borders), values)
    return pa.ListArray.from_arrays(pa.array(borders.astype(np.int32)), values)


def _bytes_and_boundaries(documents: pa.Array) -> tuple[Bytes, Offsets]:
    """Return the bytes and the borders of a string array, without those outside its slice."""
    _, offsets_buffer, data_buffer = documents.buffers()
    if len(documents) == 0 or data_buffer is None:
        return np.empty(0, np.uint8), np.zeros(len(documents) + 1, np.int64)
    every = np.frombuffer(offsets_buffer, np.int64 if pa.types.is_large_string(documents.type) else np.int32)
    offsets = every[documents.offset : documents.offset + len(documents) + 1].astype(np.int64)
    data = np.frombuffer(data_buffer, np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0]
