"""Rows of JSON Lines with their numbers, and damage named by file and line."""

import gzip

import pytest

from lm.errors import InputError
from pipelines.sources.json_lines import open_text, read_json_lines


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_rows_have_the_numbers_of_their_lines(tmp_path, name):
    content = '{"a": 1}\n\n  \n{"b": "é\u2028x"}\r\n{"c": null}'.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert list(read_json_lines(tmp_path / name)) == [(1, {"a": 1}), (4, {"b": "é\u2028x"}), (5, {"c": None})]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b'{"a": 1}\n{"a" 1}\n', r"x\.jsonl:2: not JSON: .* at column 6"),
        ("x.jsonl", b"{}\n[1]\n", r"x\.jsonl:2: a list, expected an object"),
        ("x.jsonl", b"{}\n\xff\n", r"x\.jsonl: cannot be read as UTF-8 text"),
        ("x.jsonl.gz", b"{}\n", r"x\.jsonl\.gz: cannot be read"),
        ("x.jsonl.gz", gzip.compress(b"{}\n" * 1000)[:-9], r"x\.jsonl\.gz: cannot be read"),
        ("x.jsonl.gz", gzip.compress(b"{}\n")[:-8] + bytes(8), r"x\.jsonl\.gz: cannot be read"),
    ],
)
def test_damage_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_json_lines(tmp_path / name))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="absent: no such file"), open_text(tmp_path / "absent"):
        pass
