"""NumPy arrays in files: round trips, numpy's own format, and ENOSPC."""

import errno

import numpy as np
import pytest

from pipelines.dedup.array_files import map_array, map_values, save_array, write_array

ARRAYS = [np.arange(12, dtype=np.int64).reshape(3, 4)[:, ::2], np.empty((0, 3), np.uint32), np.array([True, False])]


@pytest.mark.parametrize("array", ARRAYS, ids=str)
def test_an_array_comes_back_and_is_numpys_own_file(tmp_path, array):
    save_array(tmp_path / "x.npy", array)
    np.save(tmp_path / "theirs.npy", np.ascontiguousarray(array))
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()
    found = map_array(tmp_path / "x.npy")
    assert found.dtype == array.dtype and np.array_equal(found, array)
    found.fill(0)  # numba compiles once more for arrays that are read-only
    assert np.array_equal(map_array(tmp_path / "x.npy"), array)


def test_bare_values_come_back_and_changes_stay_in_memory(tmp_path):
    with (tmp_path / "x").open("wb") as file:
        write_array(file, np.array([1, 2], np.uint64))
        write_array(file, np.array([3], np.uint64))
    found = map_values(tmp_path / "x", np.uint64)
    found[0] = 9
    assert found.tolist() == [9, 2, 3]
    assert map_values(tmp_path / "x", np.uint64).tolist() == [1, 2, 3]
    (tmp_path / "x").write_bytes(b"")
    assert map_values(tmp_path / "x", np.uint64).size == 0


def test_a_full_disk_has_its_error_number():
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError) as error:  # noqa: PTH123
        write_array(full, np.arange(10))
    assert error.value.errno == errno.ENOSPC
