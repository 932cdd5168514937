"""Arrays as files: written so that a full disk is told as one, read as the pages of the file.

`numpy.save` and `tofile` report a full disk as "requested and written" without its error number. Pages are mapped
copy-on-write: numba compiles once more for arrays that are read-only.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """What `numpy.save` writes."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        write_array(file, array)


def write_array(file: IO[bytes], array: npt.NDArray[Any]) -> None:
    """The bare values of an array, in C order."""
    if array.size:
        file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def map_array(path: Path) -> npt.NDArray[Any]:
    """The array that `save_array` wrote, as the pages of its file."""
    return np.asarray(np.load(path, mmap_mode="c"))


def map_values(path: Path, kind: type[np.generic]) -> npt.NDArray[Any]:
    """Bare values, as the pages of their file."""
    return np.asarray(np.memmap(path, kind, "c")) if path.stat().st_size else np.empty(0, kind)
