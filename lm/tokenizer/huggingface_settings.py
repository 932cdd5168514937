"""The settings of a `tokenizer.json` that change ids: each is one that Loam has, or the file is refused by name."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lm.errors import InputError
from lm.tokenizer.patterns import OTHER_SPELLINGS, PATTERNS


def check_supported(content: Mapping[str, Any], path: Path) -> None:
    """Refuse models that are not plain byte-level BPE, and normalizers.

    Raises:
        InputError: names the setting.
    """
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


def check_post_processing(content: Mapping[str, Any], path: Path) -> None:
    """Refuse settings by which `tokenizers` adds tokens to a text, or removes some, after encoding it.

    Raises:
        InputError: names the setting.
    """
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


def check_added_tokens(added: Sequence[Mapping[str, Any]], vocab: Mapping[str, int], path: Path) -> None:
    """Refuse added tokens that `tokenizers` finds elsewhere in a text, or under another id, than Loam would.

    `tokenizers` numbers the added tokens that are not in the vocabulary from its size on, whatever the file says.

    Raises:
        InputError: names the token.
    """
    next_id = len(vocab)
    for token in added:
        name = token["content"]
        for flag in ("single_word", "lstrip", "rstrip"):
            if token.get(flag):
                raise InputError(f"{path}: added token {name!r} has {flag}, expected an added token without it")
        expected = vocab.get(name, next_id)
        if token["id"] != expected:
            raise InputError(f"{path}: added token {name!r} has the id {token['id']!r}, expected {expected}")
        next_id += name not in vocab
    early = [token["content"] for token in added if not token.get("normalized")]
    late = [token["content"] for token in added if token.get("normalized")]
    for first, second in itertools.product(early, late):  # `tokenizers` finds them in two passes, Loam in one
        if second.startswith(first) or _may_start_within(second, first):
            raise InputError(f"{path}: added tokens {first!r} and {second!r} overlap and differ in `normalized`")


def _may_start_within(text: str, other: str) -> bool:
    """Return whether an occurrence of `text` can overlap a later one of `other`."""
    return any(other.startswith(text[start : start + len(other)]) for start in range(1, len(text)))


def pattern_of(pre_tokenizer: Mapping[str, Any], path: Path) -> str:
    """Return the name of the pattern by which a pre-tokenizer splits.

    Raises:
        InputError: the pre-tokenizer splits in another way.
    """
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
    raise InputError(f"{path}: pre_tokenizer splits by an unknown pattern, expected one of {', '.join(PATTERNS)}")
