"""Votes while talking with a model: two answers to choose from, and a thumb up or down for the last one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lm.chat.layouts import read_objects
from lm.chat.template import Message, decode_response, end_id
from lm.chat.votes import Vote, append_vote, check_vote
from lm.errors import InputError
from lm.inference.engine import GenerationConfig, generate
from lm.inference.terminal import visible
from lm.model import TransformerLM
from lm.tokenizer import Tokenizer

COMPARE = "/compare"
RATINGS: dict[str, Vote] = {"/good": "up", "/bad": "down"}


class Answer(NamedTuple):
    """The text of an answer, and its ids without the stop id."""

    text: str
    token_ids: tuple[int, ...]


class Voting:
    """The commands of a conversation that are votes, and the file that they go to."""

    def __init__(self, path: Path) -> None:
        """Raises:
        InputError: the file is compressed, its folder is not there, or it has something else than votes.
        """
        if not path.parent.is_dir():
            raise InputError(f"{path}: the folder {path.parent} does not exist, expected one for a new file")
        if path.suffix == ".gz":
            raise InputError(f"{path}: compressed, expected an uncompressed file of votes")
        self._path = path
        if path.exists() and (content := path.read_bytes().lstrip()):
            if content.startswith(b"["):
                raise InputError(f"{path}: a JSON array, expected a new file or JSON Lines, one vote per line")
            for place, record in read_objects(path):
                check_vote(record, place)

    def rates(self, turn: str, messages: Sequence[Message]) -> bool:
        """Return whether a turn is a vote on the last answer, and note it."""
        if (vote := RATINGS.get(turn)) is None:
            return False
        if len(messages) < 2 or messages[-1].role != "assistant" or not messages[-1].text.strip():
            print("no answer to vote on")
            return True
        *context, prompt, answer = messages
        append_vote(self._path, vote, context, prompt=prompt.text, response=answer.text)
        return True

    def question_of(self, turn: str) -> str | None:
        """Return the question of a turn `/compare QUESTION`, and None for any other turn."""
        command, _, question = turn.partition(" ")
        return question.strip() or None if command == COMPARE else None

    def choose(self, messages: Sequence[Message], answers: Sequence[Answer], turns: Iterator[str]) -> Message | None:
        """Print two answers to the last of the messages, note which of them the next turn names, and return it."""
        first, second = answers
        for name, answer in zip("ab", answers, strict=True):
            print(f"[{name}] {visible(answer.text)}")
        if first.text == second.text or not (first.text.strip() and second.text.strip()):
            print("no vote: the answers are equal, or one is empty")
            return None
        print("better: a or b? (anything else: no vote)", flush=True)
        picked = next(turns, "").strip().lower()
        if picked not in ("a", "b"):
            return None
        better, worse = answers if picked == "a" else (second, first)
        *context, prompt = messages
        append_vote(self._path, "compare", context, prompt=prompt.text, chosen=better.text, rejected=worse.text)
        return Message("assistant", better.text, better.token_ids)


def two_answers(
    model: TransformerLM, tokenizer: Tokenizer, ids: Sequence[int], generation: GenerationConfig, seed: int
) -> list[Answer]:
    """Return two sampled answers; a greedy configuration samples at temperature 1, since both would be equal."""
    sampling = generation if generation.temperature > 0 else replace(generation, temperature=1.0)
    stop = end_id(tokenizer)
    [completions] = generate(model, [ids], sampling, stop_ids={stop}, num_samples=2, seed=seed)
    return [
        Answer(
            decode_response(tokenizer, each.token_ids),
            tuple(each.token_ids[:-1] if each.finished else each.token_ids),
        )
        for each in completions
    ]
