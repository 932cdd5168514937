"""Alignment data: good lines are read, the first bad one is named."""

import json

import pytest

from lm.chat.records import Instruction, Preference, Problem, of_split, read_records
from lm.errors import InputError

GOOD = {"id": "p1", "prompt": "2 + 2?", "answer": 4, "split": "train"}


def write(path, *rows):
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_records_come_in_the_order_of_the_file(tmp_path):
    other = {**GOOD, "id": "p2", "answer": -7, "split": "heldout"}
    path = write(tmp_path / "problems.jsonl", GOOD, "", other)
    records = read_records(Problem, path)
    assert records == [Problem(**GOOD), Problem(**other)]
    assert of_split(records, "heldout", path) == [Problem(**other)]


def test_text_keeps_line_separators(tmp_path):
    row = {"id": "a", "prompt": "one\u2028two\x85", "response": "three\n", "split": "train"}
    path = tmp_path / "instructions.jsonl"
    path.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_records(Instruction, path) == [Instruction(**row)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "problems.jsonl:2: not JSON"),
        ("[1]", "problems.jsonl:2: a list, expected an object"),
        ('{"answer": NaN}', "problems.jsonl:2: not JSON"),
        ("[" * 100_000, "problems.jsonl:2: not JSON"),
        ('{"answer": ' + "9" * 5_000 + "}", "problems.jsonl:2: not JSON"),
        ({**GOOD, "answer": "4"}, "problems.jsonl:2: field 'answer' is '4', expected an integer"),
        ({**GOOD, "answer": True}, "field 'answer' is True"),
        ({**GOOD, "prompt": ""}, "field 'prompt' is '', expected text"),
        ({**GOOD, "id": None}, "field 'id' is None"),
        ({**GOOD, "split": "test"}, "field 'split' is 'test', expected 'train' or 'heldout'"),
        ({key: GOOD[key] for key in ("id", "prompt", "split")}, "problems.jsonl:2: field 'answer' is missing"),
        ({**GOOD, "anwser": 4}, "problems.jsonl:2: unknown field 'anwser', expected id, prompt, answer, split"),
        (GOOD, "problems.jsonl: duplicate id 'p1'"),
    ],
)
def test_the_first_bad_line_is_named(tmp_path, line, message):
    with pytest.raises(InputError) as caught:
        read_records(Problem, write(tmp_path / "problems.jsonl", GOOD, line))
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_what_is_no_file_of_records_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file, expected preference records"):
        read_records(Preference, tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match="empty, expected preference records"):
        read_records(Preference, write(tmp_path / "empty.jsonl"))
    (tmp_path / "latin.jsonl").write_bytes(b"\xe9")
    with pytest.raises(InputError, match="not UTF-8 at byte 0"):
        read_records(Preference, tmp_path / "latin.jsonl")
    with pytest.raises(InputError, match="no record has split 'heldout'"):
        of_split([Problem(**GOOD)], "heldout", tmp_path / "problems.jsonl")
