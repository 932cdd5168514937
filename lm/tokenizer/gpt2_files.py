"""GPT-2's files, `vocab.json` and `merges.txt`: byte strings written in printable characters.

Source: Radford et al. 2019, `encoder.py` of openai/gpt-2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lm.errors import InputError

Pair = tuple[bytes, bytes]


def read_gpt2(
    vocab_path: Path, merges_path: Path, special_tokens: Sequence[str] = ()
) -> tuple[dict[int, bytes], list[Pair]]:
    """Read the vocabulary and the merges of `vocab.json` and `merges.txt`.

    Raises:
        InputError: a file is missing or damaged, or the two disagree; names the line or token.
    """
    vocab = vocab_of(read_json_object(vocab_path), special_tokens, vocab_path)
    merges, known = [], set(vocab.values())
    for number, line in enumerate(read_lines(merges_path), 1):
        if line and not (number == 1 and line.startswith("#version")):
            merges.append(merge_of(line.split(" "), known, f"{merges_path}: line {number}"))
    return vocab, merges


def vocab_of(entries: Mapping[str, Any], special_tokens: Sequence[str], path: Path) -> dict[int, bytes]:
    """Return the byte string of each id in a vocabulary of printable tokens.

    Raises:
        InputError: an id is repeated or is not a number from 0 on, or a character is not that of a byte.
    """
    vocab: dict[int, bytes] = {}
    for text, i in entries.items():
        if type(i) is not int or i < 0 or i in vocab:
            raise InputError(f"{path}: token {text!r} has the id {i!r}, expected a unique number from 0 on")
        try:
            vocab[i] = text.encode() if text in special_tokens else from_printable(text)
        except KeyError as error:
            raise InputError(f"{path}: token {text!r}: {error.args[0]!r} is not the character of a byte") from None
    return vocab


def merge_of(parts: Sequence[str], known: set[bytes], place: str) -> Pair:
    """Return the merge of two printable tokens.

    Raises:
        InputError: there are not two tokens, or the vocabulary lacks one of the two or the result; names `place`.
    """
    if len(parts) != 2:
        raise InputError(f"{place}: {len(parts)} tokens, expected two")
    try:
        left, right = map(from_printable, parts)
    except KeyError as error:
        raise InputError(f"{place}: {error.args[0]!r} is not the character of a byte") from None
    for token in (left, right, left + right):
        if token not in known:
            raise InputError(f"{place}: the vocabulary has no {to_printable(token)!r}")
    return left, right


def printable_order() -> tuple[list[int], list[int]]:
    """Return the bytes that are written as their Latin-1 character, and the other bytes, both ascending.

    The printable alphabet follows this order.
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return printable, [byte for byte in range(256) if byte not in printable]


@cache
def _characters() -> tuple[dict[int, str], dict[str, int]]:
    """Return the printable character of each byte, and the byte of each such character."""
    printable, others = printable_order()
    characters = {byte: chr(byte) for byte in printable}
    characters.update((byte, chr(0x100 + i)) for i, byte in enumerate(others))
    return characters, {character: byte for byte, character in characters.items()}


def to_printable(token: bytes) -> str:
    """Return the token with a printable character for each byte."""
    characters, _ = _characters()
    return "".join(characters[byte] for byte in token)


def from_printable(text: str) -> bytes:
    """Return the bytes of a printable token.

    Raises:
        KeyError: a character is not that of a byte.
    """
    _, byte_of = _characters()
    return bytes(byte_of[character] for character in text)


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        InputError: the file is missing or is not a JSON object.
    """
    try:
        content = json.loads(_text(path))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: a JSON {type(content).__name__}, expected an object")
    return content


def read_lines(path: Path) -> Iterator[str]:
    """Read the lines of a UTF-8 file, without their line ends.

    Raises:
        InputError: the file is missing or is not UTF-8.
    """
    yield from _text(path).replace("\r\n", "\n").split("\n")


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
