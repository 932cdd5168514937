"""Votes while talking: two answers to choose from, and thumbs for the last one, in a file that alignment data reads."""

import gzip
import json

import pytest

pytest.importorskip("lm.tokenizer")

from lm.chat.layouts import read_rows
from lm.chat.template import Message
from lm.errors import InputError
from lm.inference import GenerationConfig
from lm.inference.__main__ import converse, main
from lm.inference.voting import Answer, Voting
from lm.model import load_model
from lm.storage import open_artifact
from lm.tokenizer import Tokenizer
from tests.lm.alignment.conftest import start  # noqa: F401 - a fixture

SHORT = GenerationConfig(max_new_tokens=6, temperature=0.0)


@pytest.fixture
def speaker(start):  # noqa: F811
    model, _ = load_model(open_artifact(start / "model"))
    return model.eval(), Tokenizer.load(start / "tokenizer")


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_chosen_answer_goes_on_and_the_vote_is_a_preference(speaker, tmp_path, capsys):
    path = tmp_path / "votes.jsonl"
    turns = ["1 + 1?", "/compare 2 + 2?", "b", "3 + 3?"]
    messages = converse(*speaker, turns, SHORT, None, 3, Voting(path))
    [vote] = lines(path)
    assert vote["vote"] == "compare" and vote["prompt"] == "2 + 2?"
    assert [turn["content"] for turn in vote["context"]] == [message.text for message in messages[:2]]
    assert [message.text for message in messages[2:4]] == ["2 + 2?", vote["chosen"]]
    assert messages[4].text == "3 + 3?" and len(messages) == 6
    shown = capsys.readouterr().out
    assert "[a] " in shown and "[b] " in shown and "better: a or b?" in shown
    rows, left_out = read_rows("preferences", [path])
    assert not left_out and (rows[0]["chosen"], rows[0]["rejected"]) == (vote["chosen"], vote["rejected"])
    again = converse(*speaker, ["1 + 1?", "/compare 2 + 2?", "a"], SHORT, None, 3, Voting(path))
    assert again[-1].text == lines(path)[1]["chosen"] == vote["rejected"]  # the same answers by the same seed


def test_without_a_vote_the_question_is_dropped(speaker, tmp_path, capsys):
    for picked in (["neither"], []):
        messages = converse(*speaker, ["1 + 1?", "/compare 2 + 2?", *picked], SHORT, None, 3, Voting(tmp_path / "v"))
        assert [message.text for message in messages if message.role == "user"] == ["1 + 1?"]
    assert not (tmp_path / "v").exists()


def test_thumbs_are_votes_on_the_last_answer(speaker, tmp_path, capsys):
    path = tmp_path / "votes.jsonl"
    messages = converse(*speaker, ["/good", "1 + 1?", "/good", "/bad", "2 + 1?", "/bad"], SHORT, "+", 0, Voting(path))
    assert "no answer to vote on" in capsys.readouterr().out
    head = [{"role": "system", "content": "+"}]
    assert [message.role for message in messages] == ["system"] + ["user", "assistant"] * 2
    votes = lines(path)
    assert [(vote["vote"], vote["prompt"]) for vote in votes] == [
        ("up", "1 + 1?"),
        ("down", "1 + 1?"),
        ("down", "2 + 1?"),
    ]
    assert votes[0]["context"] == head and votes[2]["context"][0] == head[0] and len(votes[2]["context"]) == 3
    assert votes[0]["response"] == votes[1]["response"] == messages[2].text


def test_without_a_file_the_commands_are_turns(speaker, capsys):
    messages = converse(*speaker, ["/good", "/compare 1"], SHORT)
    assert [message.text for message in messages[::2]] == ["/good", "/compare 1"]


@pytest.mark.parametrize("texts", [("4", "4"), ("4", " "), ("", "4")])
def test_equal_and_empty_answers_are_no_choice(tmp_path, capsys, texts):
    turns = iter(["a"])
    answers = [Answer(text, ()) for text in texts]
    assert Voting(tmp_path / "v").choose([Message("user", "2 + 2?")], answers, turns) is None
    assert list(turns) == ["a"] and not (tmp_path / "v").exists()


def test_what_would_steer_a_terminal_is_hidden(tmp_path, capsys):
    Voting(tmp_path / "v").choose([Message("user", "x")], [Answer("\x1b[2J", ()), Answer("b", ())], iter(["a"]))
    assert "\x1b" not in capsys.readouterr().out and lines(tmp_path / "v")[0]["chosen"] == "\x1b[2J"


@pytest.mark.parametrize(
    "content", ['{"prompt": "x", "chosen": "a", "rejected": "b"}', "[]", "notes", "3", '[{"vote": "up"}]']
)
def test_votes_are_not_appended_to_another_file(tmp_path, content):
    path = tmp_path / "notes"
    path.write_text(content)
    with pytest.raises(InputError, match="notes"):
        Voting(path)
    assert path.read_text() == content


def test_nothing_is_appended_to_a_compressed_file(tmp_path):
    path = tmp_path / "votes.jsonl.gz"
    path.write_bytes(before := gzip.compress(b'{"vote": "up", "prompt": "2 + 2?", "response": "4"}\n'))
    with pytest.raises(InputError, match=r"votes.jsonl.gz: compressed, expected an uncompressed file"):
        Voting(path)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_named_before_the_first_turn(tmp_path):
    with pytest.raises(InputError, match=r"nowhere/votes.jsonl: the folder .*nowhere does not exist"):
        Voting(tmp_path / "nowhere" / "votes.jsonl")


@pytest.mark.parametrize("alone", [["--raw"], ["--prompt", "1 + 1?"]])
def test_votes_need_a_conversation(start, tmp_path, alone, capsys):  # noqa: F811
    places = ["--model", str(start / "model"), "--tokenizer", str(start / "tokenizer")]
    with pytest.raises(SystemExit) as ended:
        main([*places, "--votes", str(tmp_path / "votes.jsonl"), *alone])
    assert ended.value.code == 2 and "--votes with --raw or --prompt" in capsys.readouterr().err
