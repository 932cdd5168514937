"""Exact duplicates: equal addresses, equal texts, equal lines.

Decisions: texts are grouped by a 64-bit hash and then compared, so a collision removes nothing. A URL's fragment is not
part of the address, since no server sees it, unless it is a route within the page, `#/…` or `#!…`. The rest of the URL
is unchanged. Lines are separated by "\\n" and compared whole; each occurrence counts, also within one text.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urldefrag

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.documents.text_buffers import text_buffers

Keep = Literal["none", "first"]

_ROUTE = re.compile(r"(?:!/?|/)[^/!]")
"""A fragment that is a route: `/a` or `!a`; a bare `/` is the page itself."""


def hash_text(text: str) -> int:
    """Return 64 bits of BLAKE2b over the text's UTF-8 bytes."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def hash_texts(texts: pa.Array) -> npt.NDArray[np.uint64]:
    """Return `hash_text` of every text of a column, of the bytes where they lie."""
    data, offsets = text_buffers(texts)
    digests = [
        hashlib.blake2b(data.data[start:stop], digest_size=8).digest()
        for start, stop in itertools.pairwise(offsets.tolist())
    ]
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def url_key(url: str) -> str:
    """Return the URL as it is compared: without a fragment, unless the fragment is a route."""
    if "#" not in url:
        return url
    address, fragment = urldefrag(url)
    return url if _ROUTE.match(fragment) else address


def repeated(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    """Return whether each hash occurs more than once: only such texts need comparing."""
    order = np.argsort(hashes)
    in_order = hashes[order]
    same = np.zeros(hashes.size + 1, np.bool_)
    same[1:-1] = in_order[1:] == in_order[:-1]
    found = np.empty(hashes.size, np.bool_)
    found[order] = same[1:] | same[:-1]
    return found


@dataclass(slots=True)
class TextGroups:
    """Groups of equal texts, by hash and then by comparison. Memory: one copy of each distinct text."""

    hash_of: Callable[[str], int] = hash_text
    _groups: dict[int, list[tuple[str, int]]] = field(default_factory=dict)

    def add(self, index: int, text: str) -> int:
        """Return the index with which the same text was first added; `index` itself for a new text."""
        same_hash = self._groups.setdefault(self.hash_of(text), [])
        for known, first in same_hash:
            if known == text:
                return first
        same_hash.append((text, index))
        return index


def deduplicate_lines(texts: Sequence[str], keep: Keep = "none") -> list[str]:
    """Drop every copy of a line that occurs more than once in all of `texts`; `keep="first"` keeps its first copy."""
    lines = [lines_of(text) for text in texts]
    if keep == "first":
        stays = _is_new(lines)
    else:
        counts = Counter(line for each in lines for line in each)
        stays = [[counts[line] == 1 for line in each] for each in lines]
    return [joined(text, each, which) for text, each, which in zip(texts, lines, stays, strict=True)]


def lines_of(text: str) -> list[str]:
    """Return the lines of a text; a final newline ends the last line and does not begin another."""
    return text.removesuffix("\n").split("\n") if text else []


def joined(text: str, lines: Sequence[str], stays: Sequence[bool]) -> str:
    """Return the kept lines of `text`, with a final newline if `text` has one."""
    kept = [line for line, stay in zip(lines, stays, strict=True) if stay]
    return "\n".join(kept) + ("\n" if kept and text.endswith("\n") else "")


def _is_new(lines: Sequence[Sequence[str]]) -> list[list[bool]]:
    """Return for every line whether it is the first of its kind."""
    seen: set[str] = set()
    found = []
    for each in lines:
        found.append([line not in seen and not seen.add(line) for line in each])  # type: ignore[func-returns-value]
    return found
