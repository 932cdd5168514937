"""NumPy arrays in files: ENOSPC is reported when writing, and reading maps the file into memory.

`numpy.save` and `tofile` report a full disk as "requested and written" without its error number. Files are mapped
copy-on-write, since numba would compile once more for read-only arrays.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt


def save_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an array in the format of `numpy.save`."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        write_array(file, array)


def write_array(file: IO[bytes], array: npt.NDArray[Any]) -> None:
    """Write the bare values of an array, in C order."""
    if array.size:
        file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def map_array(path: Path) -> npt.NDArray[Any]:
    """Map an array that `save_array` wrote."""
    return np.asarray(np.load(path, mmap_mode="c"))


def map_values(path: Path, kind: type[np.generic]) -> npt.NDArray[Any]:
    """Map bare values that `write_values` wrote."""
    return np.asarray(np.memmap(path, kind, "c")) if path.stat().st_size else np.empty(0, kind)
