"""Exact duplicates: the same address, the same text, the same line.

Decisions: texts are grouped by a 64-bit hash and then compared, so a collision removes nothing. A URL's fragment is no
part of the address (no server sees it) unless it is a route of a program in the page, `#/…` or `#!…`; nothing else of a
URL is touched. Lines are what stands between "\\n"; they
count once per occurrence, also within one text, and are compared whole.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urldefrag

import numpy as np
import numpy.typing as npt

Keep = Literal["none", "first"]

_ROUTE = re.compile(r"(?:!/?|/)[^/!]")
"""A fragment that is a route: `/a` or `!a`; a bare `/` is the page itself."""


def hash_text(text: str) -> int:
    """64 bits of BLAKE2b over the text's UTF-8 bytes."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def url_key(url: str) -> str:
    """What two URLs of one page share."""
    address, fragment = urldefrag(url)
    return url if _ROUTE.match(fragment) else address


def repeated(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Whose hash occurs more than once: the only texts worth comparing."""
    order = np.argsort(hashes)
    in_order = hashes[order]
    same = np.zeros(hashes.size + 1, np.bool_)
    same[1:-1] = in_order[1:] == in_order[:-1]
    found = np.empty(hashes.size, np.bool_)
    found[order] = same[1:] | same[:-1]
    return found


@dataclass(slots=True)
class TextGroups:
    """Groups texts by hash, then by comparing them. Memory: one text for each distinct one that was added."""

    hash_of: Callable[[str], int] = hash_text
    _groups: dict[int, list[tuple[str, int]]] = field(default_factory=dict)

    def add(self, index: int, text: str) -> int:
        """The index that the same text was first added with; `index` itself where it is new."""
        same_hash = self._groups.setdefault(self.hash_of(text), [])
        for known, first in same_hash:
            if known == text:
                return first
        same_hash.append((text, index))
        return index


def deduplicate_lines(texts: Sequence[str], keep: Keep = "none") -> list[str]:
    """Drop every copy of a line that occurs more than once in all of `texts`; `keep="first"` leaves its first one."""
    lines = [lines_of(text) for text in texts]
    if keep == "first":
        stays = _is_new(lines)
    else:
        counts = Counter(line for each in lines for line in each)
        stays = [[counts[line] == 1 for line in each] for each in lines]
    return [joined(text, each, which) for text, each, which in zip(texts, lines, stays, strict=True)]


def lines_of(text: str) -> list[str]:
    """The lines of a text; a final newline ends the last line and begins no further one."""
    return text.removesuffix("\n").split("\n") if text else []


def joined(text: str, lines: Sequence[str], stays: Sequence[bool]) -> str:
    """The lines of `text` that stay, with a final newline where it had one."""
    kept = [line for line, stay in zip(lines, stays, strict=True) if stay]
    return "\n".join(kept) + ("\n" if kept and text.endswith("\n") else "")


def _is_new(lines: Sequence[Sequence[str]]) -> list[list[bool]]:
    """For every line whether none before was the same."""
    seen: set[str] = set()
    found = []
    for each in lines:
        found.append([line not in seen and not seen.add(line) for line in each])  # type: ignore[func-returns-value]
    return found
