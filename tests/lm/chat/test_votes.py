"""Votes are lines that are read as preferences; what is not a vote is named."""

import json

import pytest

from lm.chat.layouts import read_rows
from lm.chat.records import Preference, read_records
from lm.chat.template import Message
from lm.chat.votes import UNPAIRED, append_vote
from lm.errors import InputError
from tests.lm.alignment.conftest import write_lines

CONTEXT = [Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello.")]
TURNS = [{"role": message.role, "content": message.text} for message in CONTEXT]
PAIR = {"vote": "compare", "prompt": "x", "chosen": "a", "rejected": "b"}


def rows_of(path):
    rows, left_out = read_rows("preferences", [path])
    sides = [(row["prompt"], row["chosen"], row["rejected"], row.get("context", [])) for row in rows]
    return sides, left_out, rows


def test_votes_of_a_chat_are_preferences(tmp_path):
    path = tmp_path / "votes.jsonl"
    append_vote(path, "compare", CONTEXT, prompt="2 + 2?", chosen="4", rejected="5\n\u2028")
    append_vote(path, "up", [], prompt="1 + 1?", response="2")
    append_vote(path, "down", CONTEXT, prompt="1 + 1?", response="3")  # another context
    append_vote(path, "down", [], prompt="1 + 1?", response="11")
    append_vote(path, "down", [], prompt="1 + 1?", response="12")
    append_vote(path, "up", [], prompt="1 + 1?", response="two")
    append_vote(path, "up", [], prompt="7?", response="7")
    append_vote(path, "down", [], prompt="7?", response="7")
    assert len(path.read_bytes().split(b"\n")) == 9
    sides, left_out, rows = rows_of(path)
    assert sides == [
        ("2 + 2?", "4", "5\n\u2028", TURNS), ("1 + 1?", "2", "11", []), ("1 + 1?", "two", "12", []),
    ]  # fmt: skip
    assert left_out == {UNPAIRED: 1, "chosen and rejected are the same": 1}
    house = read_records(Preference, write_lines(tmp_path / "house.jsonl", rows))
    assert list(house[0].context) == CONTEXT and [each.id for each in house] == [row["id"] for row in rows]
    assert house[1].split == house[2].split  # of one prompt


@pytest.mark.parametrize("place", ["prompt", "response", "context"])
def test_a_vote_that_no_file_can_hold_leaves_the_file_as_it_is(tmp_path, place):
    path = tmp_path / "votes.jsonl"
    append_vote(path, "compare", [], prompt="7?", chosen="7", rejected="8")
    texts = {"prompt": "7?", "response": "7"} | ({place: "\ud800"} if place != "context" else {})
    with pytest.raises(InputError, match="half of a surrogate pair"):
        append_vote(path, "down", [Message("user", "\ud800")] if place == "context" else [], **texts)
    assert rows_of(path)[0] == [("7?", "7", "8", [])]


def test_votes_reach_the_alignment_data(tmp_path):
    from lm.alignment.data import PREFERENCES, publish_alignment_data

    path = tmp_path / "votes.jsonl"
    for number in range(40):
        append_vote(path, "compare", [], prompt=f"{number}?", chosen=f"{number}", rejected="no")
    artifact = publish_alignment_data({PREFERENCES: path}, tmp_path / "data", heldout_one_in=4)
    assert sum(artifact.summary[f"preferences_{split}"] for split in ("train", "heldout")) == 40


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"vote": "sideways", "prompt": "x"}, r"v.jsonl:2: field 'vote' is 'sideways', expected compare, up, down"),
        ({"vote": ["up"], "prompt": "x"}, r"field 'vote' is \['up'\]"),
        ({"prompt": "x", "chosen": "a", "rejected": "b"}, r"v.jsonl:2: field 'vote' is None"),
        ({"vote": "up", "prompt": "x"}, r"v.jsonl:2: field 'response' is None, expected text for the vote 'up'"),
        ({"vote": "up", "prompt": " ", "response": "x"}, r"field 'prompt' is ' '"),
        ({**PAIR, "rejected": 3}, r"field 'rejected' is 3"),
        ({**PAIR, "context": "c"}, r"'context' is 'c'"),
        (
            {"vote": "compare", "prompt": "x", "chosen": "a", "rejected": "b", "context": [{"role": "x"}]},
            r"expected a m",
        ),
    ],
)
def test_what_is_not_a_vote_is_named(tmp_path, second, message):
    with pytest.raises(InputError, match=message):
        read_rows("preferences", [write_lines(tmp_path / "v.jsonl", [PAIR, second])])


def test_a_vote_without_its_texts_is_not_written(tmp_path):
    with pytest.raises(InputError, match="field 'rejected' is None"):
        append_vote(tmp_path / "v.jsonl", "compare", [], prompt="x", chosen="a")
    assert not (tmp_path / "v.jsonl").exists()


def test_pairs_of_another_page_keep_their_context(tmp_path):
    row = {"prompt": "2 + 2?", "chosen": "4", "rejected": "5", "context": TURNS}
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(row) + "\n")
    assert rows_of(path)[0] == [("2 + 2?", "4", "5", TURNS)]
