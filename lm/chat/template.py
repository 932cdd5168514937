"""The chat template, by ids: `<|user|>PROMPT<|end|><|assistant|>RESPONSE<|end|>`.

Text is encoded with no special token allowed, so markers typed by a user or found in data stay plain text; only this
module puts the special ids in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lm.tokenizer import Tokenizer

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. A reply keeps the ids that were drawn, which encoding its text again need not give."""

    role: Role
    text: str
    token_ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ChatExample:
    """Ids of a whole exchange; `num_prompt_tokens` of them, up to `<|assistant|>`, are given and the rest is
    learned."""

    token_ids: list[int]
    num_prompt_tokens: int

    @property
    def num_response_tokens(self) -> int:
        """Tokens that carry loss: the response and its end-of-turn token."""
        return len(self.token_ids) - self.num_prompt_tokens


def encode_messages(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """The turns one after the other, each `<|role|>TEXT<|end|>`, then `<|assistant|>`: what a reply continues."""
    ids: list[int] = []
    for message in messages:
        body = _encode_text(tokenizer, message.text) if message.token_ids is None else message.token_ids
        ids += [tokenizer.special_id(f"<|{message.role}|>"), *body, end_id(tokenizer)]
    return [*ids, tokenizer.special_id("<|assistant|>")]


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """`<|user|>PROMPT<|end|><|assistant|>`."""
    return encode_messages(tokenizer, [Message("user", prompt)])


def encode_example(tokenizer: Tokenizer, prompt: str, response: str) -> ChatExample:
    """The exchange to learn from: the prompt, then the response and its `<|end|>`."""
    prompt_ids = encode_prompt(tokenizer, prompt)
    return ChatExample([*prompt_ids, *_encode_text(tokenizer, response), end_id(tokenizer)], len(prompt_ids))


def decode_response(tokenizer: Tokenizer, token_ids: Sequence[int]) -> str:
    """The text of a reply, without its end-of-turn token; other special tokens show as their names."""
    end = end_id(tokenizer)
    return tokenizer.decode(list(token_ids[:-1] if token_ids and token_ids[-1] == end else token_ids))


def end_id(tokenizer: Tokenizer) -> int:
    """The id that ends a turn."""
    return tokenizer.special_id("<|end|>")


def _encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, allowed_special="none"))
