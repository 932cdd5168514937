"""Texts as UTF-8 buffers for compiled code, without a copy where Arrow already holds the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lm.errors import InputError

Texts: TypeAlias = Sequence[str] | pa.Array


def text_column(texts: Texts) -> pa.LargeStringArray:
    """Return the texts as an Arrow column.

    Raises:
        InputError: a text has a lone surrogate.
    """
    if isinstance(texts, pa.Array):
        return texts.cast(pa.large_string())
    try:
        return pa.array(texts, pa.large_string())
    except UnicodeEncodeError as error:
        raise InputError(f"a text is not valid Unicode: {error.reason} at character {error.start}") from None


def text_buffers(texts: Texts) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the UTF-8 bytes of all texts and their borders: text `i` is `data[offsets[i]:offsets[i + 1]]`.

    All are read-only, whatever Arrow says of its memory, so that loops are compiled for one kind of array.

    Raises:
        InputError: a text is null or has a lone surrogate.
    """
    column = text_column(texts)
    if column.null_count:
        raise InputError(f"{column.null_count} texts are null, expected none")
    _, offsets, data = column.buffers()
    if offsets is None or len(column) == 0:
        return _view(b"", np.uint8), _view(bytes(8), np.int64)
    borders = _view(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return _view(data or b"", np.uint8), borders


def _view(buffer: bytes | pa.Buffer, kind: type[np.generic]) -> npt.NDArray[Any]:
    values: npt.NDArray[Any] = np.frombuffer(buffer, kind)
    values.flags.writeable = False
    return values
