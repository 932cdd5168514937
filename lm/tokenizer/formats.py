"""Import and export of tokenizers in the files of other libraries, with unchanged ids.

gpt2          `vocab.json` and `merges.txt`; each byte is written as a printable character
huggingface   `tokenizer.json` of the `tokenizers` library
tiktoken      lines of `base64(token) rank`; the merges follow from the ranks

A setting that would give other ids than the other library does is refused, never approximated.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm.errors import InputError, LoamError
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
        _check_supported(content, path)
        if not without_post_processing:
            _check_post_processing(content, path)
        _check_added(added, model["vocab"], path)
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
            pattern=_pattern_of(content["pre_tokenizer"], path),
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
        InputError: a line is not a token and a rank, or a token is not made of two earlier ones.
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
        raise InputError("the merges of this tokenizer do not follow from its ids, as those of a file of ranks do")
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


def _check_supported(content: Mapping[str, Any], path: Path) -> None:
    model = content["model"]
    expected = {"type": "BPE", "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None}
    found = {"dropout": None, "byte_fallback": False, **model}
    for key, value in {**expected, "dropout": None, "byte_fallback": False}.items():
        if (found.get(key) or None) != (value or None):
            raise InputError(f"{path}: model.{key} is {found.get(key)!r}, expected {value!r}")
    if content.get("normalizer") is not None:
        raise InputError(f"{path}: a normalizer ({content['normalizer'].get('type')}), expected none")
    if content["pre_tokenizer"] is None:
        raise InputError(f"{path}: pre_tokenizer is null, expected one of the patterns {', '.join(PATTERNS)}")


def _check_post_processing(content: Mapping[str, Any], path: Path) -> None:
    """Refuse settings by which `tokenizers` adds tokens to a text, or removes some, after encoding it."""
    for key in ("truncation", "padding"):
        if content.get(key) is not None:
            raise InputError(f"{path}: {key} is set; without_post_processing=True reads the file without it")
    added = _tokens_added_by(content.get("post_processor"), path)
    if added:
        raise InputError(
            f"{path}: post_processor adds {', '.join(added)} to every text, which `encode` does not; "
            "without_post_processing=True reads the file without it"
        )


def _tokens_added_by(processor: Mapping[str, Any] | None, path: Path) -> list[str]:
    """Return the tokens that a post-processor adds to a single text."""
    kind = processor["type"] if processor else "ByteLevel"
    if processor is None or kind == "ByteLevel":  # offsets only
        return []
    if kind == "Sequence":
        return [token for step in processor["processors"] for token in _tokens_added_by(step, path)]
    if kind == "TemplateProcessing":
        return [piece["SpecialToken"]["id"] for piece in processor["single"] if "SpecialToken" in piece]
    if kind in ("RobertaProcessing", "BertProcessing"):
        return [processor["cls"][0], processor["sep"][0]]
    raise InputError(f"{path}: post_processor is a {kind}, expected ByteLevel or TemplateProcessing")


def _check_added(added: Sequence[Mapping[str, Any]], vocab: Mapping[str, int], path: Path) -> None:
    """Refuse added tokens that `tokenizers` finds elsewhere in a text, or under another id, than Loam would.

    `tokenizers` numbers the added tokens that are not in the vocabulary from its size on, whatever the file says.
    """
    next_id = len(vocab)
    for token in added:
        name = token["content"]
        for flag in ("single_word", "lstrip", "rstrip"):
            if token.get(flag):
                raise InputError(f"{path}: added token {name!r} has {flag}, expected an added token without")
        expected = vocab.get(name, next_id)
        if token["id"] != expected:
            raise InputError(f"{path}: added token {name!r} has the id {token['id']!r}, expected {expected}")
        next_id += name not in vocab
    early = [token["content"] for token in added if not token.get("normalized")]
    late = [token["content"] for token in added if token.get("normalized")]
    for first, second in itertools.product(early, late):  # `tokenizers` finds them in two passes, Loam in one
        if second.startswith(first) or _may_start_within(second, first):
            raise InputError(f"{path}: added tokens {first!r} and {second!r} overlap, of which one has normalized")


def _may_start_within(text: str, other: str) -> bool:
    """Return whether an occurrence of `text` can overlap a later one of `other`."""
    return any(other.startswith(text[start : start + len(other)]) for start in range(1, len(text)))


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
