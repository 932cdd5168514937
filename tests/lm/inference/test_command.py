"""The chat command answers a prompt, keeps a conversation, and names what is wrong."""

import io
import sys

import pytest

pytest.importorskip("lm.tokenizer")

from lm.chat.template import encode_prompt, end_id
from lm.errors import InputError
from lm.inference import GenerationConfig, generate
from lm.inference import __main__ as command
from lm.inference.__main__ import converse, main
from lm.inference.terminal import visible
from lm.model import load_model
from lm.storage import open_artifact
from lm.tokenizer import Tokenizer
from tests.lm.alignment.conftest import start  # noqa: F401 - a fixture


@pytest.fixture
def places(start):  # noqa: F811
    return ["--model", str(start / "model"), "--tokenizer", str(start / "tokenizer"), "--device", "cpu"]


@pytest.fixture
def speaker(start):  # noqa: F811
    model, _ = load_model(open_artifact(start / "model"))
    return model.eval(), Tokenizer.load(start / "tokenizer")


def test_one_prompt_is_answered_as_generation_answers_it(places, speaker, capsys):
    assert main([*places, "--prompt", "1 + 2?", "--max-new-tokens", "8"]) == 0
    model, tokenizer = speaker
    greedy = GenerationConfig(max_new_tokens=8, temperature=0.0)
    stop_ids = {end_id(tokenizer)}
    [[completion]] = generate(model, [encode_prompt(tokenizer, "1 + 2?")], greedy, stop_ids=stop_ids)
    text = tokenizer.decode(completion.token_ids[: -1 if completion.finished else None])
    assert capsys.readouterr().out == visible(text) + "\n"


def test_lines_of_input_are_turns(places, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("1 + 2?\n\n2 + 2?\n"))
    assert main([*places, "--max-new-tokens", "3"]) == 0
    assert capsys.readouterr().out.count("\n") >= 2


def test_old_turns_are_forgotten_when_the_context_is_full(speaker, capsys):
    model, tokenizer = speaker
    generation = GenerationConfig(max_new_tokens=8, temperature=0.0)
    messages = converse(model, tokenizer, [f"{n} + {n}?" for n in range(1, 9)], generation)
    assert [message.role for message in messages[-2:]] == ["user", "assistant"]
    assert messages[-2].text == "8 + 8?"
    assert len(messages) < 16
    assert messages[0].role == "user"


def test_what_is_forgotten_is_forgotten_with_its_answer_and_replies_keep_their_ids(speaker, monkeypatch, capsys):
    model, tokenizer = speaker
    drawn, seen = [tokenizer.encode(letter)[0] for letter in "1 + 1 = 2"], []
    monkeypatch.setattr(command, "stream", lambda model, ids, *how, **more: seen.append(list(ids)) or iter(drawn))
    roles = {tokenizer.special_id(f"<|{role}|>"): role for role in ("system", "user", "assistant")}
    for system in (None, "+"):
        seen.clear()
        converse(model, tokenizer, ["1 + 1?"] * 5, GenerationConfig(max_new_tokens=10), system=system)
        for ids in seen:
            asked = [roles[i] for i in ids if i in roles]
            turns = asked[1:] if system else asked
            assert turns == ["user", "assistant"] * (len(turns) // 2) and (system is None or asked[0] == "system")
        assert len(seen[-1]) < len(seen[0]) * 5
        first = len(seen[0])
        assert seen[1][first : first + len(drawn)] == drawn != tokenizer.encode("1 + 1 = 2")


@pytest.mark.parametrize(
    "text", ["5\u00a0km", "1\u202f000 €", "\U0001f469\u200d\U0001f4bb", "می\u200cخواهم", "co\u00adop", "𐰀"]
)
def test_ordinary_characters_are_shown(text):
    assert visible(text) == text


@pytest.mark.parametrize("character", ["\x1b", "\x00", "\x7f", "\x9b", "\r", "\u2028", "\u2029", "\ud800"])
def test_what_could_steer_a_terminal_is_hidden(character):
    assert visible(f"a{character}b\n\t") == "a\ufffdb\n\t"


def test_raw_text_begins_a_document(speaker):
    model, tokenizer = speaker
    greedy, end_of_text = GenerationConfig(max_new_tokens=6, temperature=0.0), tokenizer.special_id("<|endoftext|>")
    prompt = [end_of_text, *tokenizer.encode("1 +")]
    [[expected]] = generate(model, [prompt], greedy, stop_ids={end_of_text})
    found = list(command.stream_raw(model, tokenizer, "1 +", greedy, 0))
    assert found == expected.token_ids[: -1 if expected.finished else None]


def test_raw_continues_the_text_itself(places, capsys):
    assert main([*places, "--raw", "--prompt", "1 +", "--max-new-tokens", "3", "--temperature", "1"]) == 0
    assert capsys.readouterr().out.startswith("1 +")


def test_a_folder_without_a_model_is_named(places, tmp_path):
    with pytest.raises(InputError, match=r"model.json: no such file"):
        main(["--model", str(tmp_path), *places[2:], "--prompt", "1"])
