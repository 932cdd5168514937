"""The documentation's table of faults names exactly the test files that inject each."""

import re

from tests.conftest import REPOSITORY

TESTS = REPOSITORY / "tests"
_MARK = re.compile(r"pytest\.mark\.fault\((\d+)\)")
_ROW = re.compile(r"^\| (\d+) \|.*\| ([^|]*) \|$", re.MULTILINE)


def marked():
    """The files of each fault's tests, by number."""
    found = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for number in _MARK.findall(path.read_text("utf-8")):
            found.setdefault(int(number), set()).add(path.relative_to(TESTS).as_posix())
    return found


def test_the_table_names_the_files_of_each_fault():
    table = {
        int(number): set(re.findall(r"`([^`]+\.py)`", cell))
        for number, cell in _ROW.findall((REPOSITORY / "docs" / "faults.md").read_text("utf-8"))
    }
    assert {number: files for number, files in table.items() if files} == marked()
