"""Lines that several processes append stay whole."""

import errno
import json
import subprocess
import sys

import pytest

from lm import json_lines
from lm.json_lines import append_object, rows_of

WRITER = """
import sys
from pathlib import Path
from lm.json_lines import append_object
for number in range(40):
    append_object(Path(sys.argv[1]), {"writer": sys.argv[2], "number": number, "text": "line\\n" * 2_000})
"""


def test_processes_that_append_at_once_leave_whole_lines(tmp_path):
    path = tmp_path / "lines.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, str(n)]) for n in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    for n in range(3):
        assert [row["number"] for row in rows if row["writer"] == str(n)] == list(range(40))


def test_an_object_after_half_a_line_has_a_line_of_its_own(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b'{"a": ')
    append_object(path, {"b": "é\ud800"})
    append_object(path, {"c": 1})
    broken, *whole = path.read_bytes().split(b"\n")[:-1]
    assert broken == b'{"a": ' and len(whole) == 2 and json.loads(whole[1]) == {"c": 1}


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "lines.jsonl"
    append_object(path, {"a": 1})
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(json_lines.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append_object(path, {"b": 2})
    assert path.read_bytes() == before


def test_a_text_with_other_separators_is_one_line(tmp_path):
    path = tmp_path / "lines.jsonl"
    rows = [{"text": "".join(map(chr, (*range(0x20), 0x85, 0x2028, 0x2029)))}, {"text": "é"}]
    for row in rows:
        append_object(path, row)
    assert rows_of(path) == rows and len(path.read_text("utf-8").splitlines()) > 2
