"""The n-gram index of evaluation items, and the search of documents.

    item of at least `ngram` words        every run of `ngram` normalized words
    item of `min_item_words` and more     the whole item, as one run
    a shorter item                        is not searched, but counted: it would match ordinary language

A compiled sieve of hashes selects documents, which are then compared word by word, so a collision of hashes cuts
nothing. Words are those of `pipelines.dedup.normalization`: lower case, without accents, punctuation and symbols.

Source: Brown et al. 2020, arXiv:2005.14165, appendix C: n-grams of 13 words in lower case without punctuation; of
shorter examples there, n is the 5th percentile of their lengths in words, at least 8. Here each short item is one run.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lm.errors import IntegrityError
from lm.storage import sha256_of
from pipelines.decontamination.items import Item, read_items
from pipelines.dedup.normalization import fold, folding_table
from pipelines.documents.text_buffers import text_buffers

Hashes = npt.NDArray[np.uint64]
_TOKEN = re.compile(r"\S+")
_MIN_SLOTS = 1024


@dataclass(frozen=True, slots=True)
class Overlap:
    """A run of a document's words that is in evaluation items, as a whole or with every n-gram.

    `start` and `end` count characters of the document's text; `num_words` is the length of the run. `item` is, of the
    items that share its n-grams, the one that shares most distinct ones (of equals, the first); `ngram` is the first
    n-gram, in normalized words. `items` are the places, within the index, of all items that share one.
    """

    item: Item
    ngram: str
    num_words: int
    start: int
    end: int
    items: frozenset[int]


class EvaluationIndex:
    """The n-grams of evaluation items, to search documents for.

    Memory: 20 bytes an n-gram, 8 a word of the items, and 16 to 32 for the sieve.
    """

    def __init__(self, items: Sequence[Item], *, ngram: int, min_item_words: int) -> None:
        from pipelines.decontamination.kernels import fill_table, words_of

        self.items = items
        self._words: dict[int, list[str]] = {}
        hashes = [words_of(np.frombuffer(item.text.encode(), np.uint8), *folding_table()) for item in items]
        self.lengths_of = np.array([_length(each.size, ngram, min_item_words) for each in hashes], np.int64)
        self.lengths = np.unique(self.lengths_of[self.lengths_of > 0])
        self.hashes, self.owners, self.starts = self._postings(hashes)
        distinct = self.hashes[np.diff(self.hashes, prepend=np.uint64(0)) != 0]  # they are sorted, and never 0
        slots = max(_MIN_SLOTS, 1 << int(4 * distinct.size - 1).bit_length() if distinct.size else 0)
        self.sieve = np.zeros(slots, np.uint64)
        fill_table(distinct, self.sieve)

    def is_sought(self, item: int) -> bool:
        """Return whether an item is long enough to be looked for."""
        return bool(self.lengths_of[item] > 0)

    def suspects(self, texts: pa.Array) -> npt.NDArray[np.bool_]:
        """Return the `texts` with an n-gram whose hash is in the index; no other text contains an item."""
        from pipelines.decontamination.kernels import find_suspects

        data, offsets = text_buffers(texts)
        found = np.zeros(len(texts), np.bool_)
        if self.lengths.size:
            find_suspects(data, offsets, *folding_table(), self.lengths, self.sieve, found)
        return found

    def overlaps(self, text: str) -> list[Overlap]:
        """Return the overlaps of one text, from left to right; n-grams that overlap each other are one overlap."""
        words, starts, ends = normalized_words(text)
        runs: list[list[tuple[int, int, list[int]]]] = []
        reached = 0
        for hit in self._hits(text, words):
            if not runs or hit[0] >= reached:
                runs.append([])
            runs[-1].append(hit)
            reached = max(reached, hit[0] + hit[1])
        return [self._overlap(run, words, starts, ends) for run in runs]

    def _hits(self, text: str, words: list[str]) -> list[tuple[int, int, list[int]]]:
        """Return the n-grams of a text that are in items: first word, number of words, items; by first words."""
        from pipelines.decontamination.kernels import ngram_hashes, words_of

        data = np.frombuffer(text.encode(), np.uint8)
        hashes_of_words = words_of(data, *folding_table())
        hits, asked = [], dict[tuple[str, ...], list[int]]()  # an n-gram that a document repeats is looked up once
        for length in self.lengths.tolist():
            hashes = ngram_hashes(hashes_of_words, length)
            places = np.searchsorted(self.hashes, hashes)
            known = np.flatnonzero(self.hashes[np.minimum(places, self.hashes.size - 1)] == hashes)
            for first in known.tolist():
                ngram = tuple(words[first : first + length])
                if ngram not in asked:
                    asked[ngram] = self._owners(hashes[first], int(places[first]), list(ngram))
                if asked[ngram]:
                    hits.append((first, length, asked[ngram]))
        return sorted(hits, key=lambda hit: hit[:2])

    def _owners(self, value: np.uint64, place: int, ngram: list[str]) -> list[int]:
        """Return the items that contain exactly these words; `place` is the first posting of their hash."""
        owners = []
        for posting in range(place, int(np.searchsorted(self.hashes, value, side="right"))):
            item, start = int(self.owners[posting]), int(self.starts[posting])
            if self._words_of(item)[start : start + len(ngram)] == ngram:
                owners.append(item)
        return owners

    def _overlap(
        self, run: list[tuple[int, int, list[int]]], words: list[str], starts: list[int], ends: list[int]
    ) -> Overlap:
        first, length, _ = run[0]
        last = max(start + size for start, size, _ in run)
        distinct = {id(owners): owners for _, _, owners in run}.values()
        shared = Counter(owner for owners in distinct for owner in set(owners))
        item = min(shared, key=lambda owner: (-shared[owner], owner))
        return Overlap(
            item=self.items[item],
            ngram=" ".join(words[first : first + length]),
            num_words=last - first,
            start=starts[first],
            end=ends[last - 1],
            items=frozenset(shared),
        )

    def _words_of(self, item: int) -> list[str]:
        """Return the words of an item, found when they are first compared: few items are."""
        if item not in self._words:
            self._words[item] = normalized_words(self.items[item].text)[0]
        return self._words[item]

    def _postings(self, words: Sequence[Hashes]) -> tuple[Hashes, npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Hash, item and first word of every n-gram, by hash, then in the items' order; `words` are hashes by item."""
        from pipelines.decontamination.kernels import ngram_hashes

        hashes, owners, starts = [np.empty(0, np.uint64)], [np.empty(0, np.int32)], [np.empty(0, np.int32)]
        for index, length in enumerate(self.lengths_of.tolist()):
            if length:
                found = ngram_hashes(words[index], length)
                hashes.append(found)
                owners.append(np.full(found.size, index, np.int32))
                starts.append(np.arange(found.size, dtype=np.int32))
        joined = np.concatenate(hashes)
        order = np.argsort(joined, kind="stable")
        return joined[order], np.concatenate(owners)[order], np.concatenate(starts)[order]


@functools.lru_cache(maxsize=2)
def load_index(path: str, sha256: str, ngram: int, min_item_words: int) -> EvaluationIndex:
    """Return the index over a published file of items, made once a process.

    Raises:
        IntegrityError: the file's bytes are not those of `sha256`.
    """
    actual = sha256_of(Path(path))
    if actual != sha256:
        raise IntegrityError(f"{path}: sha256 is {actual}, expected {sha256}")
    return EvaluationIndex(read_items(Path(path)), ngram=ngram, min_item_words=min_item_words)


def normalized_words(text: str) -> tuple[list[str], list[int], list[int]]:
    """Return the words of `pipelines.dedup.normalization.normalize(text)`, and the span of each in `text`."""
    words, starts, ends = [], [], []
    for token in _TOKEN.finditer(text):
        word = "".join(map(fold, token[0]))
        if word:
            words.append(word)
            starts.append(token.start())
            ends.append(token.end())
    return words, starts, ends


def _length(num_words: int, ngram: int, min_item_words: int) -> int:
    """Return the n-gram length for an item of so many words; 0 for an item that is too short."""
    if num_words >= ngram:
        return ngram
    return num_words if num_words >= min_item_words else 0


def found_items(index: EvaluationIndex, found: Set[int]) -> dict[str, dict[str, int]]:
    """Return for each set the number of items (rows), of items with a text long enough, and of items found in part.

    `found` are places within the index.
    """
    counts: dict[str, dict[str, int]] = {}
    for name in dict.fromkeys(item.set for item in index.items):
        places = [place for place, item in enumerate(index.items) if item.set == name]
        among = {
            "num_items": places,
            "num_sought": [place for place in places if index.is_sought(place)],
            "num_found": [place for place in places if place in found],
        }
        counts[name] = {key: len({index.items[place].item for place in chosen}) for key, chosen in among.items()}
    return counts
