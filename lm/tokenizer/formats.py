"""Import and export of tokenizers in the files of other libraries, with unchanged ids.

gpt2          `vocab.json` and `merges.txt`; each byte is written as a printable character
huggingface   `tokenizer.json` of the `tokenizers` library
tiktoken      lines of `base64(token) rank`; the merges follow from the ranks

A setting that would give other ids than the other library does is refused, never approximated.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm.errors import InputError, LoamError
from lm.tokenizer.gpt2_files import Pair, merge_of, read_gpt2, read_json_object, read_lines, to_printable, vocab_of
from lm.tokenizer.huggingface_settings import check_added_tokens, check_post_processing, check_supported, pattern_of
from lm.tokenizer.patterns import PATTERNS
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
    """Write `vocab.json` and `merges.txt` into `folder`. The files do not hold the pattern.

    Raises:
        InputError: the tokenizer has added tokens or ignores merges, which the files cannot hold either.
    """
    _refuse_beyond_merges(tokenizer, "GPT-2's files")
    (folder / "vocab.json").write_text(json.dumps(_printable_vocab(tokenizer), ensure_ascii=False), encoding="utf-8")
    lines = [f"{to_printable(left)} {to_printable(right)}\n" for left, right in tokenizer.merges]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(lines), encoding="utf-8")


def load_huggingface(path: Path, *, without_post_processing: bool = False) -> Tokenizer:
    """Read a `tokenizer.json`.

    Added tokens that are not special become `Tokenizer.added_tokens`, and `ignore_merges` is kept. A file whose
    post-processor adds tokens to every text (`<|begin_of_text|>` in Llama 3), or that truncates or pads, is refused,
    since `encode` does neither; `without_post_processing=True` reads it as if it did not.

    Raises:
        InputError: the file is damaged, is not a byte-level BPE, or gives other ids than Loam would; names the setting.
    """
    content = read_json_object(path)
    try:
        model, added = content["model"], content["added_tokens"]
        check_supported(content, path)
        if not without_post_processing:
            check_post_processing(content, path)
        check_added_tokens(added, model["vocab"], path)
        names = [token["content"] for token in sorted(added, key=lambda token: token["id"])]
        vocab = vocab_of({**model["vocab"], **{token["content"]: token["id"] for token in added}}, names, path)
        known = set(vocab.values())
        merges = [
            merge_of(merge.split(" ") if isinstance(merge, str) else merge, known, f"{path}: merge {rank}")
            for rank, merge in enumerate(model["merges"])
        ]
        special = [token["content"] for token in added if token["special"]]
        return Tokenizer(
            vocab,
            merges,
            special,
            pattern=pattern_of(content["pre_tokenizer"], path),
            added_tokens=[name for name in names if name not in special],
            ignore_merges=bool(model.get("ignore_merges")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a tokenizer of `tokenizers` ({type(error).__name__}: {error})") from None
    except LoamError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def save_huggingface(tokenizer: Tokenizer, path: Path) -> None:
    """Write a `tokenizer.json` that `tokenizers` and `transformers` load with the same ids."""
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    ids = {name: tokenizer.token_id(name) for name in (*tokenizer.special_tokens, *tokenizer.added_tokens)}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": ids[name], "content": name, **flags, "special": name in tokenizer.special_tokens}
            for name in sorted(ids, key=lambda name: ids[name])
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
            "ignore_merges": tokenizer.ignore_merges,
            "vocab": _printable_vocab(tokenizer),
            "merges": [[to_printable(left), to_printable(right)] for left, right in tokenizer.merges],
        },
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def load_tiktoken(path: Path, pattern: str, special_tokens: Mapping[str, int]) -> Tokenizer:
    """Read a file of ranks; `special_tokens` gives the ids of special tokens, which the file does not hold.

    Raises:
        InputError: a line is not a token and a rank, or repeats one; a token is not made of two earlier ones; a special
            token has the id of another token.
    """
    ranks = _read_ranks(path)
    vocab = {rank: token for token, rank in ranks.items()}
    for name, i in special_tokens.items():
        if vocab.setdefault(i, name.encode()) != name.encode():
            raise InputError(f"{path}: special token {name!r} has the id {i}, which is that of {vocab[i]!r}")
    try:
        return Tokenizer(vocab, merges_of_ranks(ranks), list(special_tokens), pattern=pattern)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _read_ranks(path: Path) -> dict[bytes, int]:
    ranks: dict[bytes, int] = {}
    lines: dict[bytes | int, int] = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line:
            continue
        try:
            text, digits = line.split(" ")
            token, rank = base64.b64decode(text, validate=True), int(digits)
        except (ValueError, binascii.Error):
            raise InputError(f"{path}: line {number} is {line[:40]!r}, expected base64 and a rank") from None
        for part in (token, rank):
            if lines.setdefault(part, number) != number:
                raise InputError(f"{path}: line {number} has {part!r}, which line {lines[part]} has already")
        ranks[token] = rank
    return ranks


def save_tiktoken(tokenizer: Tokenizer, path: Path) -> None:
    """Write ranks, without special tokens.

    Raises:
        InputError: the tokenizer's merges do not follow from its ids, as those of ranks do; or it has added tokens.
    """
    _refuse_beyond_merges(tokenizer, "a file of ranks")
    specials = {tokenizer.special_id(name) for name in tokenizer.special_tokens}
    vocab = {i: token for i, token in tokenizer.vocab.items() if i not in specials}
    ids = {token: i for i, token in vocab.items()}
    try:
        follows = merges_of_ranks(ids) == tokenizer.merges
    except InputError:
        follows = False
    if not follows:
        raise InputError("the merges of this tokenizer cannot be derived from its ids, as a file of ranks requires")
    lines = [f"{base64.b64encode(token).decode()} {i}\n" for i, token in sorted(vocab.items())]
    path.write_text("".join(lines), encoding="ascii")


def _refuse_beyond_merges(tokenizer: Tokenizer, files: str) -> None:
    if tokenizer.added_tokens or tokenizer.ignore_merges:
        found = "ignore_merges" if tokenizer.ignore_merges else f"the added token {tokenizer.added_tokens[0]!r}"
        raise InputError(f"this tokenizer has {found}, which {files} cannot hold: save it as tokenizer.json")


def merges_of_ranks(ranks: Mapping[bytes, int]) -> list[Pair]:
    """Return the merges behind a file of ranks: the two parts of each token after all merges of lower rank.

    Raises:
        InputError: a token of two bytes or more is not made of two parts.
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
    names = {tokenizer.token_id(name): name for name in (*tokenizer.special_tokens, *tokenizer.added_tokens)}
    return {names.get(i) or to_printable(token): i for i, token in tokenizer.vocab.items()}


def _byte_level(*, use_regex: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}
