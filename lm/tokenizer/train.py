"""Learning the merges of a byte-level BPE.

Text is cut into pre-tokens and counted; then the most frequent pair of neighbouring tokens is merged, ties going to the
lexicographically greater pair of byte strings, until the vocabulary is full. Only counts of distinct pre-tokens are
held, and a merge touches only the pre-tokens that contain its pair.

Source: Sennrich et al. 2016 (arXiv:1508.07909), on bytes as in GPT-2.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lm.errors import ConfigurationError, InputError
from lm.progress import bar
from lm.tokenizer.pretokenize import pre_tokens, special_splitter
from lm.tokenizer.tokenizer import Tokenizer

Pair = tuple[bytes, bytes]
NUM_BYTES = 256


def train_bpe(
    paths_or_documents: Iterable[str | Path],
    vocab_size: int,
    special_tokens: Sequence[str],
    pattern: str = "gpt2",
) -> Tokenizer:
    """Learn a tokenizer of at most `vocab_size` ids: 256 bytes, then merges, then `special_tokens`.

    `paths_or_documents` yields documents as strings, or paths of UTF-8 text files. Special tokens found in the text are
    hard boundaries and are not learned from. A text too small for the vocabulary gives a smaller one.

    Raises:
        ConfigurationError: `vocab_size` leaves no room for the bytes and the special tokens, or one of these is
        repeated.
        InputError: a file that is not UTF-8, or no text at all.
    """
    if len(set(special_tokens)) != len(special_tokens):
        raise ConfigurationError(f"special_tokens: one is repeated in {', '.join(special_tokens)}")
    num_merges = vocab_size - NUM_BYTES - len(special_tokens)
    if num_merges < 0:
        raise ConfigurationError(
            f"vocab_size: {vocab_size}, expected at least {NUM_BYTES + len(special_tokens)} "
            f"({NUM_BYTES} bytes and {len(special_tokens)} special tokens)"
        )
    counts = count_pre_tokens(_documents(paths_or_documents), pattern, special_tokens)
    merges = learn_merges(counts, num_merges)
    vocab = {i: bytes([i]) for i in range(NUM_BYTES)}
    for left, right in merges:
        vocab[len(vocab)] = left + right
    return Tokenizer(vocab, merges, special_tokens, pattern=pattern)


def count_pre_tokens(documents: Iterable[str], pattern: str, special_tokens: Sequence[str]) -> Counter[bytes]:
    """How often each distinct pre-token occurs, as UTF-8 bytes.

    Raises:
        InputError: there was no text.
    """
    counts: Counter[str] = Counter()
    splitter = special_splitter(frozenset(special_tokens)) if special_tokens else None
    with bar("count pre-tokens", unit="B") as progress:
        for document in documents:
            for part in splitter.split(document)[::2] if splitter else (document,):
                counts.update(pre_tokens(part, pattern))
            progress.update(len(document))
    if not counts:
        raise InputError("no text to learn a tokenizer from")
    return Counter({piece.encode(): count for piece, count in counts.items()})


def learn_merges(counts: Counter[bytes], num_merges: int) -> list[Pair]:
    """The first `num_merges` merges over counted pre-tokens, or as many as there are pairs."""
    state = _PairIndex(counts)
    merges: list[Pair] = []
    with bar("learn merges", total=num_merges, unit="merge") as progress:
        while len(merges) < num_merges and (pair := state.pop_most_frequent()) is not None:
            state.merge(pair)
            merges.append(pair)
            progress.update()
    return merges


@dataclass(slots=True)
class _Candidate:
    """A pair with the count it had when it was queued; the heap's smallest is the most frequent, then the greatest."""

    count: int
    pair: Pair

    def __lt__(self, other: _Candidate) -> bool:
        return (self.count, self.pair) > (other.count, other.pair)


class _PairIndex:
    """Counts of all pairs, and which words hold each; kept up to date by every merge."""

    def __init__(self, counts: Counter[bytes]) -> None:
        self._words = [[bytes([byte]) for byte in word] for word in counts]
        self._frequencies = list(counts.values())
        self._counts: Counter[Pair] = Counter()
        self._holders: defaultdict[Pair, set[int]] = defaultdict(set)
        for index, word in enumerate(self._words):
            self._count(index, word, 1)
        self._queue = [_Candidate(count, pair) for pair, count in self._counts.items()]
        heapq.heapify(self._queue)

    def pop_most_frequent(self) -> Pair | None:
        """The pair to merge next; None where no pair is left. Queued counts that are no longer true are skipped."""
        while self._queue:
            candidate = heapq.heappop(self._queue)
            if self._counts.get(candidate.pair, 0) == candidate.count:
                return candidate.pair
        return None

    def merge(self, pair: Pair) -> None:
        """Merge `pair` in every word that holds it."""
        touched: set[Pair] = set()
        for index in self._holders.pop(pair):
            word = self._words[index]
            merged = list(_merged(word, pair))
            touched.update(self._count(index, word, -1))
            touched.update(self._count(index, merged, 1))
            self._words[index] = merged
        for changed in touched:
            if (count := self._counts[changed]) > 0:
                heapq.heappush(self._queue, _Candidate(count, changed))
            else:
                del self._counts[changed]
                self._holders.pop(changed, None)

    def _count(self, index: int, word: list[bytes], sign: int) -> list[Pair]:
        pairs = list(itertools.pairwise(word))
        for pair in pairs:
            self._counts[pair] += sign * self._frequencies[index]
            if sign > 0:
                self._holders[pair].add(index)
        return pairs


def _merged(word: list[bytes], pair: Pair) -> Iterator[bytes]:
    """`word` with every occurrence of `pair` as one token, from the left."""
    i = 0
    while i < len(word):
        if i + 1 < len(word) and (word[i], word[i + 1]) == pair:
            yield word[i] + word[i + 1]
            i += 2
        else:
            yield word[i]
            i += 1


def _documents(paths_or_documents: Iterable[str | Path]) -> Iterator[str]:
    for item in paths_or_documents:
        if isinstance(item, str):
            yield item
        else:
            yield from _lines(item)


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            yield from stream
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 ({error.reason} at byte {error.start} of a block)") from None
