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

    Raises:
        InputError: a text is null or has a lone surrogate.
    """
    column = text_column(texts)
    if column.null_count:
        raise InputError(f"{column.null_count} texts are null, expected none")
    _, offsets, data = column.buffers()
    if offsets is None or len(column) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    borders: npt.NDArray[Any] = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return (np.frombuffer(data, np.uint8) if data else np.empty(0, np.uint8)), borders
