"""Site boilerplate: lines at the beginning or end of many pages of one site, invisible in a single page.

    1. while pages are extracted: `add` notes a 64-bit hash of each line with its host, keyed anew in each process
    2. when all of a partition are there: `spans` says which lines of each page to keep

A line is furniture where at least `min_pages` pages, and a fifth of all pages, of its host have it. Only the first and
last lines of a page are dropped, up to the first that is none: what news stories repeat of each other stands in their
middle. Pages that are mostly made of lines that others have too are copies of one another, not of one frame: they
neither count nor lose anything, and deduplication decides. Pages of one text count once.

The same pages give the same result in any order. Memory: 17 bytes a line. Equality is that of hashes.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Sequence
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

_MOST_SHARED = 0.5
"""A page with a larger share of its characters in shared lines is a copy."""

_MIN_SITE_SHARE = 0.2

Spans = dict[int, tuple[int, int]]


class SiteLines:
    """The lines of a partition's pages, in the order in which the pages were added."""

    def __init__(self) -> None:
        self._keys = array("q")
        self._lengths = array("q")
        self._num_lines = array("q")
        self._hosts = array("q")

    def add(self, urls: Sequence[str], texts: Sequence[str]) -> None:
        """Note the lines of some pages."""
        for url, text in zip(urls, texts, strict=True):
            host = _host(url)
            self._hosts.append(hash(host))
            lines = text.split("\n")
            self._num_lines.append(len(lines))
            self._lengths.extend(map(len, lines))
            self._keys.extend(map(hash, zip(itertools.repeat(host), lines)))

    def spans(self, min_pages: int) -> Spans:
        """Return `(first line, line behind the last)` of a page's own lines, by page, for pages with boilerplate
        lines.
        """
        num_lines = np.array(self._num_lines, np.int64)
        ends = np.cumsum(num_lines)
        spans: Spans = {}
        if num_lines.size == 0:
            return spans
        _, keys = np.unique(np.array(self._keys, np.int64), return_inverse=True)
        pages = np.repeat(np.arange(num_lines.size), num_lines)
        lengths = np.array(self._lengths, np.int64)
        counts = _is_first(keys, ends)
        shared = _pages_with(keys, pages, counts[pages]) >= min_pages
        in_shared = np.bincount(pages, lengths * shared[keys], num_lines.size)
        is_own = in_shared <= _MOST_SHARED * np.bincount(pages, lengths, num_lines.size)
        counts &= is_own
        _, hosts = np.unique(np.array(self._hosts, np.int64), return_inverse=True)
        least = np.maximum(min_pages, _MIN_SITE_SHARE * np.bincount(hosts, counts))[hosts]
        is_furniture = _pages_with(keys, pages, counts[pages])[keys] >= least[pages]
        for page in np.unique(pages[is_furniture & is_own[pages]]).tolist():
            own = np.flatnonzero(~is_furniture[ends[page] - num_lines[page] : ends[page]]).tolist()
            if own[-1] + 1 - own[0] < num_lines[page]:
                spans[page] = own[0], own[-1] + 1
        return spans


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _is_first(keys: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each page is the first with its text."""
    seen: set[bytes] = set()
    first = np.zeros(ends.size, np.bool_)
    start = 0
    for page, end in enumerate(ends.tolist()):
        text = hashlib.blake2b(keys[start:end].tobytes(), digest_size=16).digest()
        first[page] = text not in seen
        seen.add(text)
        start = end
    return first


def _pages_with(keys: NDArray[np.int64], pages: NDArray[np.int64], counts: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of counted pages with each line."""
    num_pages = int(pages[-1]) + 1  # a line and a page as one number: sorting pairs of numbers is far slower
    pairs = np.unique(keys[counts] * num_pages + pages[counts])
    return np.bincount(pairs // num_pages, minlength=int(keys.max()) + 1)
