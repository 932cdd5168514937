"""Checks of a vocabulary, its merges and its special tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lm.errors import ConfigurationError, InputError
from lm.tokenizer.utf8 import utf8


def ids_by_token(vocab: Mapping[int, bytes]) -> dict[bytes, int]:
    """Return the id of each token.

    Raises:
        InputError: an id is not a number from 0 on, a token is empty or has two ids, or a byte has none.
    """
    ids: dict[bytes, int] = {}
    for i, token in sorted(vocab.items()):
        if not isinstance(i, int) or i < 0:
            raise InputError(f"vocabulary: id {i!r}, expected a number from 0 on")
        if not token:
            raise InputError(f"vocabulary: id {i} is the empty string")
        if ids.setdefault(token, i) != i:
            raise InputError(f"vocabulary: {token!r} has the ids {ids[token]} and {i}")
    missing = next((bytes([byte]) for byte in range(256) if bytes([byte]) not in ids), None)
    if missing is not None:
        raise InputError(f"vocabulary: has no token for the byte {missing!r}")
    return ids


def check_merges(merges: Sequence[tuple[bytes, bytes]], ids: Mapping[bytes, int]) -> None:
    """Refuse merges of tokens that are not in the vocabulary, and repeated ones.

    Raises:
        InputError: names the merge.
    """
    ranks: dict[tuple[bytes, bytes], int] = {}
    for rank, (left, right) in enumerate(merges):
        for token in (left, right, left + right):
            if token not in ids:
                raise InputError(f"merge {rank}: {left!r} {right!r}: the vocabulary has no {token!r}")
        if ranks.setdefault((left, right), rank) != rank:
            raise InputError(f"merge {rank}: {left!r} {right!r} is merge {ranks[left, right]} already")


def check_names(special: Sequence[str], added: Sequence[str], merges: Sequence[tuple[bytes, bytes]]) -> None:
    """Refuse special and added tokens that are repeated or empty, and special tokens that text can become.

    Raises:
        ConfigurationError: names the token.
    """
    for field, names in (("special_tokens", special), ("added_tokens", added)):
        if len(set(names)) != len(names):
            raise ConfigurationError(f"{field}: one is repeated in {', '.join(names)}")
    for name in added:
        if not name or name in special:
            raise ConfigurationError(f"added_tokens: {name!r} is {'a special token' if name else 'empty'}")
    made = {left + right for left, right in merges} if special else set()
    for name in special:
        token = utf8(name)
        if len(token) < 2 or token in made:
            raise ConfigurationError(
                f"special_tokens: {name!r} can be the token of ordinary text, expected at least two bytes and "
                "not the result of a merge"
            )


def add_ids(names: Sequence[str], ids: dict[bytes, int]) -> dict[str, int]:
    """Return the ids of special or added tokens, and add those that are new to `ids`."""
    found: dict[str, int] = {}
    next_id = max(ids.values()) + 1
    for name in names:
        found[name] = ids.setdefault(utf8(name), next_id)
        next_id += found[name] == next_id
    return found
