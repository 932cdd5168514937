"""The chat command answers a prompt, keeps a conversation, and names what is wrong."""

import io
import sys

import pytest

pytest.importorskip("lm.tokenizer")

from lm.alignment.chat import encode_prompt, end_id
from lm.errors import InputError
from lm.inference import GenerationConfig, generate
from lm.inference.__main__ import converse, main
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
    shown = "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)
    assert capsys.readouterr().out == shown + "\n"


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


def test_raw_continues_the_text_itself(places, capsys):
    assert main([*places, "--raw", "--prompt", "1 +", "--max-new-tokens", "3", "--temperature", "1"]) == 0
    assert capsys.readouterr().out.startswith("1 +")


def test_a_folder_without_a_model_is_named(places, tmp_path):
    with pytest.raises(InputError, match=r"model.json: no such file"):
        main(["--model", str(tmp_path), *places[2:], "--prompt", "1"])
