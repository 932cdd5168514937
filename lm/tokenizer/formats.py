"""Tokenizers in the files of others, read and written so that ids stay the same.

gpt2          `vocab.json` and `merges.txt`; each byte is written as a printable character
huggingface   `tokenizer.json` of the `tokenizers` library
tiktoken      lines of `base64(token) rank`; merges are found again from the ranks

A pattern, normalizer or pre-tokenizer that would give other ids than the file's owner is refused, never approximated.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm.errors import InputError
from lm.tokenizer.gpt2_files import Pair, merge_of, read_gpt2, read_json_object, read_lines, to_printable, vocab_of
from lm.tokenizer.patterns import OTHER_SPELLINGS, PATTERNS
from lm.tokenizer.tokenizer import Tokenizer


def load_gpt2(
    vocab_path: Path, merges_path: Path, special_tokens: Sequence[str] = (), pattern: str = "gpt2"
) -> Tokenizer:
    """Read `vocab.json` and `merges.txt`.

    Raises:
        InputError: a file is missing, damaged, or does not fit the other; names the line or token.
    """
    vocab, merges = read_gpt2(vocab_path, merges_path, special_tokens)
    return Tokenizer(vocab, merges, special_tokens, pattern=pattern)


def save_gpt2(tokenizer: Tokenizer, folder: Path) -> None:
    """Write `vocab.json` and `merges.txt` into `folder`. They do not tell the pattern."""
    (folder / "vocab.json").write_text(json.dumps(_printable_vocab(tokenizer), ensure_ascii=False), encoding="utf-8")
    lines = [f"{to_printable(left)} {to_printable(right)}\n" for left, right in tokenizer.merges]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(lines), encoding="utf-8")


def load_huggingface(path: Path) -> Tokenizer:
    """Read a `tokenizer.json`.

    Raises:
        InputError: it is damaged, no byte-level BPE, or prepares text in a way that Loam does not.
    """
    content = read_json_object(path)
    try:
        model, added = content["model"], content["added_tokens"]
        _check_supported(content, path)
        specials = [token["content"] for token in added]
        entries = {**model["vocab"], **{token["content"]: token["id"] for token in added}}
        vocab = vocab_of(entries, specials, path)
        known = set(vocab.values())
        merges = [
            merge_of(merge.split(" ") if isinstance(merge, str) else merge, known, f"{path}: merge {rank}")
            for rank, merge in enumerate(model["merges"])
        ]
        return Tokenizer(vocab, merges, specials, pattern=_pattern_of(content["pre_tokenizer"], path))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a tokenizer of `tokenizers` ({type(error).__name__}: {error})") from None


def save_huggingface(tokenizer: Tokenizer, path: Path) -> None:
    """Write a `tokenizer.json` that `tokenizers` and `transformers` load with the same ids."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": tokenizer.special_id(name), "content": name, **flags}
            for name in sorted(tokenizer.special_tokens, key=tokenizer.special_id)
        ],
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": PATTERNS[tokenizer.pattern]},
                    "behavior": "Isolated",
                    "invert": False,
                },
                _byte_level(use_regex=False),
            ],
        },
        "post_processor": None,
        "decoder": _byte_level(use_regex=False),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": _printable_vocab(tokenizer),
            "merges": [[to_printable(left), to_printable(right)] for left, right in tokenizer.merges],
        },
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def load_tiktoken(path: Path, pattern: str, special_tokens: Mapping[str, int]) -> Tokenizer:
    """Read a file of ranks; `special_tokens` gives the ids of those, which the file does not hold.

    Raises:
        InputError: a line that is no token and rank, or a token that no two earlier ones make.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        if line:
            try:
                token, rank = line.split(" ")
                ranks[base64.b64decode(token, validate=True)] = int(rank)
            except (ValueError, binascii.Error):
                raise InputError(f"{path}: line {number} is {line[:40]!r}, expected base64 and a rank") from None
    vocab = {rank: token for token, rank in ranks.items()}
    vocab.update((i, name.encode()) for name, i in special_tokens.items())
    try:
        return Tokenizer(vocab, merges_of_ranks(ranks), list(special_tokens), pattern=pattern)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def save_tiktoken(tokenizer: Tokenizer, path: Path) -> None:
    """Write ranks, without special tokens.

    Raises:
        InputError: the ids do not follow the order of the merges, which ranks must.
    """
    specials = {tokenizer.special_id(name) for name in tokenizer.special_tokens}
    vocab = {i: token for i, token in tokenizer.vocab.items() if i not in specials}
    ids = {token: i for i, token in vocab.items()}
    made = [ids[left + right] for left, right in tokenizer.merges]
    if made != sorted(made):
        raise InputError("the ids of this tokenizer do not follow the order of its merges: tiktoken cannot hold it")
    lines = [f"{base64.b64encode(token).decode()} {i}\n" for i, token in sorted(vocab.items())]
    path.write_text("".join(lines), encoding="ascii")


def merges_of_ranks(ranks: Mapping[bytes, int]) -> list[Pair]:
    """The merges behind a file of ranks: what is left of each token when all lower ranks have been merged in it.

    Raises:
        InputError: a token of two bytes or more that is not left as two parts.
    """
    merges: list[Pair] = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        if len(token) > 1:
            parts = _merged_below(token, ranks, rank)
            if len(parts) != 2:
                raise InputError(f"token {token!r} of rank {rank} is not made of two tokens of lower rank")
            merges.append((parts[0], parts[1]))
    return merges


def _merged_below(token: bytes, ranks: Mapping[bytes, int], limit: int) -> list[bytes]:
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 1:
        found = [ranks.get(parts[i] + parts[i + 1], limit) for i in range(len(parts) - 1)]
        lowest = min(found)
        if lowest >= limit:
            break
        i = found.index(lowest)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    return parts


def _printable_vocab(tokenizer: Tokenizer) -> dict[str, int]:
    names = {tokenizer.special_id(name): name for name in tokenizer.special_tokens}
    return {names.get(i) or to_printable(token): i for i, token in tokenizer.vocab.items()}


def _check_supported(content: Mapping[str, Any], path: Path) -> None:
    model = content["model"]
    expected = {"type": "BPE", "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None}
    found = {"dropout": None, "byte_fallback": False, **model}
    for key, value in {**expected, "dropout": None, "byte_fallback": False}.items():
        if (found.get(key) or None) != (value or None):
            raise InputError(f"{path}: model.{key} is {found.get(key)!r}, expected {value!r}")
    if content.get("normalizer") is not None:
        raise InputError(f"{path}: a normalizer ({content['normalizer'].get('type')}), expected none")


def _pattern_of(pre_tokenizer: Mapping[str, Any], path: Path) -> str:
    steps = pre_tokenizer["pretokenizers"] if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]
    byte_level = steps[-1]
    if byte_level["type"] != "ByteLevel" or byte_level.get("add_prefix_space"):
        raise InputError(f"{path}: pre_tokenizer ends in {byte_level}, expected ByteLevel without add_prefix_space")
    if len(steps) == 1 and byte_level.get("use_regex", True):
        return "gpt2"
    if len(steps) == 2 and steps[0]["type"] == "Split" and not byte_level.get("use_regex", True):
        expression = steps[0]["pattern"].get("Regex")
        names = {**OTHER_SPELLINGS, **{text: name for name, text in PATTERNS.items()}}
        if steps[0]["behavior"] == "Isolated" and not steps[0]["invert"] and expression in names:
            return names[expression]
    raise InputError(f"{path}: pre_tokenizer cuts by a pattern that is none of {', '.join(PATTERNS)}")


def _byte_level(*, use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}
