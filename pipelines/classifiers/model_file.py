"""The layout of a fastText model file, version 12, walked without loading it.

fastText trusts the counts in a file: a file cut short makes it read rubbish, allocate without bound or crash the
process. Here every count is followed to where the next part begins, and the file must end where the last part ends.

    magic, version    2 x int32
    arguments         12 x int32, float64
    dictionary        3 x int32 (entries, words, labels), 2 x int64 (tokens, pruned), entries, pruned x 2 int32
      entry           the word, NUL, int64 count, int8 kind
    input, output     one byte "is quantized", then a matrix
      dense           int64 rows, int64 columns, float32 values
      quantized       one byte "has norms", int64 rows, int64 columns, int32 size, codes, quantizer[, norms, quantizer]
      quantizer       4 x int32 (dimensions first), 256 float32 centroids a dimension
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from lm.errors import InputError

MAGIC, VERSION = 793712314, 12
_ARGUMENTS_BYTES = 12 * 4 + 8
_CENTROIDS = 256


def model_file(name: str) -> str:
    """Return the file name of the model of a classifier."""
    return f"{name}.bin"


def check_model_file(path: Path) -> None:
    """Follow the file's layout from its first to its last byte.

    Raises:
        InputError: the file is not a fastText model of this version, or is cut short, too long or inconsistent.
    """
    with path.open("rb") as file:
        head = file.read(8)
        if len(head) < 8 or struct.unpack("<ii", head) != (MAGIC, VERSION):
            raise InputError(f"{path}: starts with {head!r}, expected a fastText model of version {VERSION}")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            walk = _Walk(data)
            try:
                walk.skip(8 + _ARGUMENTS_BYTES)
                walk.dictionary()
                walk.matrix()
                walk.matrix()
            except (struct.error, _Inconsistent) as error:
                reason = f"the model breaks off or contradicts itself at byte {walk.position:,}"
                raise InputError(f"{path}: {reason} of {len(data):,}, expected a whole fastText model") from error
            if walk.position != len(data):
                raise InputError(f"{path}: {len(data):,} bytes, expected {walk.position:,} by the model's own counts")


class _Inconsistent(Exception):  # noqa: N818 - internal, becomes an InputError
    """An impossible count."""


class _Walk:
    """A cursor over the parts of a file."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.position = 0

    def skip(self, num_bytes: int) -> None:
        if num_bytes < 0 or self.position + num_bytes > len(self.data):
            raise _Inconsistent
        self.position += num_bytes

    def read(self, layout: str) -> tuple[int, ...]:
        values: tuple[int, ...] = struct.unpack_from("<" + layout, self.data, self.position)
        self.position += struct.calcsize("<" + layout)
        return values

    def dictionary(self) -> None:
        num_entries, num_words, num_labels, _, num_pruned = self.read("iiiqq")
        if min(num_entries, num_words, num_labels) < 0 or num_entries != num_words + num_labels:
            raise _Inconsistent
        for _ in range(num_entries):
            end = self.data.find(b"\0", self.position)
            if end < 0:
                raise _Inconsistent
            self.skip(end + 1 + 9 - self.position)
        self.skip(8 * max(0, num_pruned))

    def matrix(self) -> None:
        (quantized,) = self.read("B")
        if not quantized:
            num_rows, num_columns = self._shape()
            self.skip(4 * num_rows * num_columns)
            return
        (has_norms,) = self.read("B")
        num_rows, _ = self._shape()
        (num_codes,) = self.read("i")
        self.skip(num_codes)
        self._quantizer()
        if has_norms:
            self.skip(num_rows)
            self._quantizer()

    def _shape(self) -> tuple[int, int]:
        num_rows, num_columns = self.read("qq")
        if num_rows < 0 or num_columns < 0:
            raise _Inconsistent
        return num_rows, num_columns

    def _quantizer(self) -> None:
        dimensions, *_ = self.read("iiii")
        self.skip(4 * dimensions * _CENTROIDS)
