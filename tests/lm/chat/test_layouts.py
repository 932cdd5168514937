"""Published layouts become the house's records; what cannot be an example is counted, and what is damaged is named."""

import gzip
import json

import pytest

from lm.chat.layouts import read_rows
from lm.chat.records import Instruction, Preference, Problem, read_records
from lm.errors import InputError

PAIR = {"prompt": "A", "chosen": "a", "rejected": "b"}
KINDS = {"instructions": Instruction, "preferences": Preference, "problems": Problem}
HH = "\n\nHuman: Hi\n\nAssistant: Hello.\n\nHuman: 2 + 2?\n\nAssistant: "
CHAT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello."},
    {"role": "user", "content": "2 + 2?"},
    {"role": "assistant", "content": "4"},
]


def write(path, *records):
    lines = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in records)
    path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())
    return path


def read(tmp_path, kind, *records, name="data.jsonl", **options):
    return read_rows(kind, [write(tmp_path / name, *records)], **options)


@pytest.mark.parametrize(
    ("kind", "record", "wanted"),
    [
        ("instructions", {"instruction": "A", "input": "2", "output": "4"}, {"prompt": "A\n\n2", "response": "4"}),
        ("instructions", {"instruction": "A", "input": "", "output": "B"}, {"prompt": "A", "response": "B"}),
        ("instructions", {"question": "2?", "answer": "2\n#### 2"}, {"prompt": "2?", "response": "2\n#### 2"}),
        ("problems", {"question": "2?", "answer": "2\n#### 1,004"}, {"prompt": "2?", "answer": 1004}),
        ("preferences", PAIR, PAIR),
        (
            "preferences",
            {"chosen": HH + "4", "rejected": HH + "5"},
            {"prompt": "2 + 2?", "chosen": "4", "rejected": "5", "context": CHAT[1:3]},
        ),
        (
            "instructions",
            {"instruction": "Add.", "instances": [{"input": "1, 1", "output": "2"}]},
            {"prompt": "Add.\n\n1, 1", "response": "2"},
        ),
    ],
)  # fmt: skip
def test_every_layout_gives_a_record(tmp_path, kind, record, wanted):
    rows, left_out = read(tmp_path, kind, {**record, "unknown": 1})
    assert not left_out
    assert [{name: row[name] for name in row if name not in ("id", "split")} for row in rows] == [wanted]
    (found,) = read_records(KINDS[kind], write(tmp_path / "house.jsonl", *rows))
    assert found.prompt == wanted["prompt"] and found.id == "data-000000"


def test_every_reply_of_a_conversation_is_an_instruction(tmp_path):
    rows, _ = read(tmp_path, "instructions", {"id": "c1", "messages": CHAT})
    assert [(row["id"], row["prompt"], row["response"], row["context"]) for row in rows] == [
        ("c1", "Hi", "Hello.", CHAT[:1]),
        ("c1-1", "2 + 2?", "4", CHAT[:3]),
    ]


@pytest.mark.parametrize(
    ("kind", "record", "reason"),
    [
        ("instructions", {"instruction": "Hi", "output": " "}, "empty output"),
        ("instructions", {"messages": CHAT[:2]}, "no reply of the assistant to a user"),
        ("problems", {"question": "x", "answer": "4"}, "no last line '#### <integer>'"),
        ("preferences", {"prompt": "x", "chosen": "a", "rejected": "a"}, "chosen and rejected are the same"),
        ("preferences", {"chosen": HH, "rejected": HH + "5"}, "empty prompt or reply"),
        ("preferences", {"chosen": HH + "4", "rejected": "x" + HH + "5"}, "no prompt with a reply at the end"),
        (
            "preferences",
            {"chosen": HH + "4", "rejected": HH.replace("Hello", "Bye") + "5"},
            "the conversations differ before the last reply",
        ),
    ],
)
def test_what_cannot_be_an_example_is_counted(tmp_path, kind, record, reason):
    good = {
        "instructions": {"instruction": "Hi", "output": "Hello."},
        "problems": {"question": "x", "answer": "#### 4"},
        "preferences": {"prompt": "x", "chosen": "a", "rejected": "b"},
    }[kind]
    if set(record) == {"chosen", "rejected"}:
        good = {"chosen": HH + "4", "rejected": HH + "5"}
    elif "messages" in record:
        good = {"messages": CHAT}
    rows, left_out = read(tmp_path, kind, good, record)
    assert left_out == {reason: 1} and len(rows) >= 1
    with pytest.raises(InputError, match=f"no {kind}, expected at least 1"):
        read(tmp_path, kind, record)


def test_files_named_test_are_held_out_beside_others(tmp_path):
    paths = [
        write(tmp_path / name, {"question": f"{name}?", "answer": "#### 4"})
        for name in ("train.jsonl", "test.jsonl.gz", "train-00001-of-2.json")
    ]
    rows, _ = read_rows("problems", paths)
    assert [row["split"] for row in rows] == ["train", "heldout", "train"]
    rows, _ = read_rows("problems", paths[1:2] * 1)
    assert rows[0]["split"] in ("train", "heldout")


def test_without_splits_a_hash_of_the_prompt_decides(tmp_path):
    records = [{"question": f"{n}?", "answer": "#### 4"} for n in range(2_000)]
    rows, _ = read(tmp_path, "problems", *records, heldout_one_in=10)
    share = sum(row["split"] == "heldout" for row in rows) / len(rows)
    assert 0.08 < share < 0.12
    again, _ = read(tmp_path, "problems", *records[::-1], heldout_one_in=10)
    assert {row["prompt"]: row["split"] for row in again} == {row["prompt"]: row["split"] for row in rows}


def test_a_json_array_is_read_as_well(tmp_path):
    rows, _ = read(tmp_path, "instructions", json.dumps([{"instruction": "Hi", "output": "a"}] * 2), name="a.json")
    assert [row["id"] for row in rows] == ["a-000000", "a-000001"]


@pytest.mark.parametrize(
    ("kind", "line", "message"),
    [
        ("instructions", "{", r"data.jsonl:1: not JSON"),
        ("instructions", "3", r"data.jsonl:1: a int, expected an object"),
        ("instructions", {"text": "x"}, r"data.jsonl:1: fields text, expected for instructions one of: .*messages"),
        ("preferences", {"question": "x", "answer": "y"}, r"expected for preferences one of"),
        ("instructions", {"instruction": 3, "output": "x"}, r"data.jsonl:1: field 'instruction' is 3, expected text"),
        ("instructions", {"messages": [{"role": "tool", "content": "x"}]}, r"role 'tool', expected system"),
        ("instructions", {"messages": "x"}, r"field 'messages' is 'x', expected a list"),
        (
            "problems",
            '{"question": "", "answer": ""}\n{"question": "x"}',
            r":2: field 'answer' is missing",
        ),
    ],
)
def test_what_is_damaged_is_named(tmp_path, kind, line, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path, kind, line)


def test_a_missing_or_broken_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere.jsonl: no such file"):
        read_rows("problems", [tmp_path / "nowhere.jsonl"])
    (tmp_path / "x.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(InputError, match=r"x.jsonl.gz: Not a gzipped file"):
        read_rows("problems", [tmp_path / "x.jsonl.gz"])
