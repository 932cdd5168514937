"""Labelled examples from files, and the mistakes that such files have."""

import gzip

import pytest

from lm.errors import InputError
from pipelines.filters.labels import read_labels


def test_labels_are_read_from_json_lines_and_csv(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "x", "toxic": true}\n\n{"text": "y", "toxic": false}\n')
    (tmp_path / "a.csv").write_text('tweet,class\n"one, two\nthree",0\nfour,2\n')
    assert list(read_labels(tmp_path / "a.jsonl", "toxic")) == [("x", True), ("y", False)]
    rows = read_labels(tmp_path / "a.csv", "class", text="tweet", positive=("0", "1"))
    assert list(rows) == [("one, two\nthree", True), ("four", False)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n', "a.jsonl:1: no field 'toxic'; found text"),
        ("a.jsonl", b'{"text": "x", "toxic": 1}\n{"text"\n', "a.jsonl:2: not JSON"),
        ("a.jsonl", b"[1]\n", "a.jsonl:1: a list, expected an object"),
        ("a.jsonl", b'{"text": 5, "toxic": 1}\n', "field 'text' is a int, expected text"),
        ("a.csv", b"text,label\nx,1\n", "a.csv:2: no field 'toxic'"),
        ("a.txt", b"", "expected a .jsonl or .csv"),
        ("a.jsonl", b"\xff\xfe", "cannot be read as UTF-8"),
        ("a.jsonl.gz", b"no gzip", "cannot be read"),
        ("a.jsonl.gz", gzip.compress(b'{"text": "x", "toxic": 1}\n')[:12], "cannot be read"),
        ("a.csv.gz", gzip.compress(b"", mtime=0)[:10] + b"\xff" * 20, "cannot be read"),
    ],
)
def test_mistakes_in_label_files_name_file_and_line(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        list(read_labels(tmp_path / name, "toxic"))
    assert message in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        list(read_labels(tmp_path / "none.csv", "toxic"))
