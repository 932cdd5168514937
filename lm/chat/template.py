"""Chat templates as data, rendered to ids with the mask of what is learned, in one place.

Loam's own is `<|user|>PROMPT<|end|><|assistant|>RESPONSE<|end|>`; `TEMPLATES` has ChatML, Llama-3 and Alpaca beside it.

Text is encoded with no special token allowed, so markers typed by a user or found in data stay plain text; only this
module puts the special ids in. The pieces of plain text before a reply are encoded together, as one text; a reply is
encoded by itself, since generation begins there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple

from lm.errors import InputError
from lm.tokenizer import Tokenizer

Role = Literal["system", "user", "assistant"]


class Special(NamedTuple):
    """A special token of the tokenizer, by its name; a plain string in a template is text."""

    name: str


Pieces = tuple[str | Special, ...]


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """The pieces of text and special tokens around the turns of a conversation."""

    name: str
    turns: MappingProxyType[Role, tuple[Pieces, Pieces]]
    """Before and after the text of each role."""
    stop: Special
    """Ends a reply; a reply is learned up to and with it."""
    begin: Pieces = ()


def _template(name: str, stop: Special, turns: dict[Role, tuple[Pieces, Pieces]], begin: Pieces = ()) -> ChatTemplate:
    return ChatTemplate(name, MappingProxyType(turns), stop, begin)


_ROLES: tuple[Role, ...] = ("system", "user", "assistant")
_END, _IM_END, _EOT = Special("<|end|>"), Special("<|im_end|>"), Special("<|eot_id|>")
_HEADER, _HEADER_END = Special("<|start_header_id|>"), Special("<|end_header_id|>")

LOAM = _template("loam", _END, {role: ((Special(f"<|{role}|>"),), (_END,)) for role in _ROLES})
CHATML = _template(
    "chatml", _IM_END, {role: ((Special("<|im_start|>"), f"{role}\n"), (_IM_END, "\n")) for role in _ROLES}
)
LLAMA_3 = _template(
    "llama-3",
    _EOT,
    {role: ((_HEADER, role, _HEADER_END, "\n\n"), (_EOT,)) for role in _ROLES},
    begin=(Special("<|begin_of_text|>"),),
)
ALPACA = _template(
    "alpaca",
    Special("<|endoftext|>"),
    {
        "system": ((), ("\n\n",)),
        "user": (("### Instruction:\n",), ("\n\n",)),
        "assistant": (("### Response:\n",), (Special("<|endoftext|>"),)),
    },
    begin=(
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n",
    ),
)
TEMPLATES = MappingProxyType({each.name: each for each in (LOAM, CHATML, LLAMA_3, ALPACA)})
"""The templates by name."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. A reply keeps the ids that were drawn, which encoding its text again need not give."""

    role: Role
    text: str
    token_ids: tuple[int, ...] | None = None


class Rendered(NamedTuple):
    """Ids of a conversation; `learned` is true for the tokens of replies and their stop tokens."""

    token_ids: list[int]
    learned: list[bool]


@dataclass(frozen=True, slots=True)
class ChatExample:
    """Ids of a whole exchange; `num_prompt_tokens` of them, up to the begin of the reply, are given and the rest is
    learned."""

    token_ids: list[int]
    num_prompt_tokens: int

    @property
    def num_response_tokens(self) -> int:
        """Tokens that carry loss: the response and its end-of-turn token."""
        return len(self.token_ids) - self.num_prompt_tokens


def render(
    tokenizer: Tokenizer, messages: Sequence[Message], template: ChatTemplate = LOAM, *, reply: bool = False
) -> Rendered:
    """Return the ids of a conversation, and which of them are learned; with `reply`, up to where a reply begins.

    Raises:
        InputError: no messages, or an unknown role.
        ConfigurationError: the tokenizer lacks a special token of the template.
    """
    if not messages:
        raise InputError("messages: none, expected at least 1")
    ids, learned = list[int](), list[bool]()
    waiting = list(template.begin)

    def flush() -> None:
        for token_id in _encode_pieces(tokenizer, waiting):
            ids.append(token_id)
            learned.append(False)
        waiting.clear()

    for message in messages:
        if message.role not in template.turns:
            raise InputError(f"role '{message.role}', expected one of {', '.join(template.turns)}")
        before, after = template.turns[message.role]
        waiting += before
        if message.role != "assistant":
            waiting += [message.text, *after]
            continue
        flush()
        body = _encode_text(tokenizer, message.text) if message.token_ids is None else list(message.token_ids)
        body = [*body, tokenizer.special_id(template.stop.name)]
        ids += body
        learned += [True] * len(body)
        waiting += after[after.index(template.stop) + 1 :]
    if reply:
        waiting += template.turns["assistant"][0]
    flush()
    return Rendered(ids, learned)


def encode_messages(tokenizer: Tokenizer, messages: Sequence[Message], template: ChatTemplate = LOAM) -> list[int]:
    """Return the ids that a reply to these turns continues; errors as `render`."""
    return render(tokenizer, messages, template, reply=True).token_ids


def encode_prompt(
    tokenizer: Tokenizer, prompt: str, context: Sequence[Message] = (), template: ChatTemplate = LOAM
) -> list[int]:
    """Return the ids that a reply to a prompt continues, after the turns of `context`."""
    return encode_messages(tokenizer, [*context, Message("user", prompt)], template)


def encode_example(
    tokenizer: Tokenizer,
    prompt: str,
    response: str,
    context: Sequence[Message] = (),
    template: ChatTemplate = LOAM,
) -> ChatExample:
    """Return the exchange to learn from: the prompt after its context, then the response and its stop token.

    Of the replies in `context` nothing is learned.
    """
    prompt_ids = encode_prompt(tokenizer, prompt, context, template)
    stop = tokenizer.special_id(template.stop.name)
    return ChatExample([*prompt_ids, *_encode_text(tokenizer, response), stop], len(prompt_ids))


def decode_response(tokenizer: Tokenizer, token_ids: Sequence[int]) -> str:
    """Return the text of a reply, without its end-of-turn token; other special tokens show as their names."""
    end = end_id(tokenizer)
    return tokenizer.decode(list(token_ids[:-1] if token_ids and token_ids[-1] == end else token_ids))


def end_id(tokenizer: Tokenizer, template: ChatTemplate = LOAM) -> int:
    """Return the id that ends a turn."""
    return tokenizer.special_id(template.stop.name)


def _encode_pieces(tokenizer: Tokenizer, pieces: Sequence[str | Special]) -> list[int]:
    """Encode texts that follow each other as one text, and special tokens as their ids."""
    ids, text = list[int](), ""
    for piece in pieces:
        if isinstance(piece, Special):
            ids += [*_encode_text(tokenizer, text), tokenizer.special_id(piece.name)]
            text = ""
        else:
            text += piece
    return ids + _encode_text(tokenizer, text)


def _encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, allowed_special="none")) if text else []
