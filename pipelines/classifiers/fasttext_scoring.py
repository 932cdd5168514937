"""Scoring with a two-class fastText model, from weights that are summed up once.

fastText's answer for a text is softmax(O · mean(rows)), where the rows are those of its words, their letter n-grams and
its word n-grams. With two classes that is the logistic function of the mean over the rows of one number each,

    P(positive) = 1 / (1 + exp(-mean(w[row]))),    w = I · (o_positive - o_negative)

so a feature costs one look-up in place of `dim`, and a known word all of its letter n-grams in one. The features are
fastText's own (dictionary.cc of 0.9.2: FNV-1a of 32 bits over signed bytes, `hash * 116049371 + next` for word n-grams,
a line's end as the word `</s>`). Sums are in 64 bits where fastText's are in 32; 1e-5 is added to a probability as in
fastText. Words are identified by 64-bit hashes.

A document is put in lower case and read once: white space ends a word, each of `SPLIT_OFF` is a word of its own (what
`preprocessing.normalize` spells out with spaces), and, where asked, windows end as `filters.harmful` cuts them.

Not covered: quantised models and other losses than softmax, which are refused.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled
from lm.errors import InputError
from pipelines.classifiers.preprocessing import SPLIT_OFF

Scores = NDArray[np.float64]
Bytes = NDArray[np.uint8]
Words = NDArray[np.uint64]

_ADDED = 1e-5
_LETTER, _SPACE, _NEWLINE, _END, _MARK, _ENDER, _LEAD = range(7)
_ENDERS = ".!?…"
_END_OF_LINE = "</s>"
_MEMO_SLOTS = 1 << 14
"""Unknown words whose letter n-grams are remembered within a batch: the common ones, in what a core's cache holds."""
_compiled = compiled(error_model="numpy")


@dataclass(frozen=True, kw_only=True, slots=True)
class LinearScorer:
    """A model's weights: `keys` and `ids` are an open-addressing table of its words."""

    keys: Words
    ids: NDArray[np.int64]
    word_sums: Scores
    word_counts: NDArray[np.int64]
    weights: Scores
    shape: tuple[int, int, int, int, int]
    """Words, shortest and longest letter n-gram, longest word n-gram, buckets."""

    def scores(self, documents: bytes) -> Scores:
        """The probability of the positive class for each document of `document_bytes`; 0 for one without a word."""
        return self.windows(documents, 0, 0).scores

    def windows(self, documents: bytes, min_words: int, max_words: int) -> Windows:
        """The same for windows of sentences: one ends before a sentence, or before each `max_words`-th word of one,
        where it has `min_words` already. With 0 and 0 a document is one window."""
        text = np.frombuffer(documents, np.uint8)
        kinds, packed, enders = _marks()
        sums, counts, num_words, num_windows = _walk(
            text,
            kinds,
            packed,
            enders,
            self.keys,
            self.ids,
            self.word_sums,
            self.word_counts,
            self.weights,
            self.shape,
            min_words,
            max_words,
        )
        found = 1 / (1 + np.exp(-sums / np.maximum(counts, 1))) + _ADDED
        scores = np.where(num_words > 0, np.minimum(found, 1.0), 0.0)
        return Windows(scores=scores, num_words=num_words, num_windows=num_windows)


class Windows(NamedTuple):
    """Scores and words of windows, document after document, and the number of windows of each document."""

    scores: Scores
    num_words: NDArray[np.int64]
    num_windows: NDArray[np.int64]


def document_bytes(texts: Sequence[str]) -> bytes:
    """All `texts` for a scorer: lower case, UTF-8, no white space but spaces and newlines, a NUL behind each."""
    pieces = []
    for text in texts:
        lowered = text.lower()
        if not lowered.replace("\n", " ").isprintable():  # as all white space is that is no space
            lowered = "\n".join(" ".join(line.split()) for line in lowered.replace("\0", " ").split("\n"))
        pieces.append(lowered)
    return "\0".join([*pieces, ""]).encode("utf-8", "replace")


@functools.cache
def _marks() -> tuple[Bytes, NDArray[np.uint32], NDArray[np.bool_]]:
    """Return the kind of each byte; the marks beyond ASCII, their UTF-8 packed into a number; and the marks that end a
    sentence.
    """
    kinds = np.zeros(256, np.uint8)
    kinds[[ord(" "), ord("\n"), 0]] = _SPACE, _NEWLINE, _END
    packed, enders = [], []
    for mark in SPLIT_OFF:
        spelt = mark.encode()
        if len(spelt) == 1:
            kinds[spelt[0]] = _ENDER if mark in _ENDERS else _MARK
        else:
            kinds[spelt[0]] = _LEAD
            packed.append(int.from_bytes(spelt, "big"))
            enders.append(mark in _ENDERS)
    return kinds, np.array(packed, np.uint32), np.array(enders, np.bool_)


@functools.lru_cache(maxsize=8)
def scorer(model: Any, positive: str, negative: str) -> LinearScorer:
    """Return the scorer of a fastText model with these two labels.

    Raises:
        InputError: the model is of another kind.
    """
    options = model.f.getArgs()
    is_known = sorted(model.get_labels()) == sorted((positive, negative)) and options.loss.name == "softmax"
    if not is_known or model.is_quantized():
        raise InputError(
            f"classifier: a model with labels {sorted(model.get_labels())} and loss {options.loss.name}, "
            f"expected one with '{negative}', '{positive}' and softmax, not quantised"
        )
    labels, output = model.get_labels(), model.get_output_matrix()
    direction = (output[labels.index(positive)] - output[labels.index(negative)]).astype(np.float64)
    weights = model.get_input_matrix().astype(np.float64) @ direction
    words = model.get_words()
    shape = (len(words), int(options.minn), int(options.maxn), int(options.wordNgrams), int(options.bucket))
    spelt = np.frombuffer("\n".join([*words, ""]).encode(), np.uint8)
    sums, counts = weights[: len(words)].copy(), np.ones(len(words), np.int64)
    end = words.index(_END_OF_LINE) if _END_OF_LINE in words else -1
    hashes = _describe_words(spelt, weights, shape, end, sums, counts)
    keys, ids = _index_words(hashes)
    return LinearScorer(keys=keys, ids=ids, word_sums=sums, word_counts=counts, weights=weights, shape=shape)


@_compiled
def _hash_word(text: Bytes, start: int, stop: int) -> Any:
    """FNV-1a in 64 bits, to know a word by, and in 32 bits over signed bytes, as fastText has it."""
    wide, narrow = np.uint64(0xCBF29CE484222325), np.uint32(2166136261)
    for position in range(start, stop):
        wide = (wide ^ np.uint64(text[position])) * np.uint64(0x100000001B3)
        narrow = np.uint32(np.uint32(narrow ^ np.uint32(np.int8(text[position]))) * np.uint32(16777619))
    return wide, narrow


@_compiled
def _letter_ngrams(text: Bytes, start: int, stop: int, weights: Scores, shape: Any) -> Any:
    """The summed weights of the letter n-grams of `<word>`, and their number."""
    num_words, shortest, longest, _, num_buckets = shape
    total, count = 0.0, 0
    size = stop - start + 2
    for first in range(size):
        if 0 < first < size - 1 and text[start + first - 1] & 0xC0 == 0x80:
            continue
        narrow, behind, length = np.uint32(2166136261), first, 1
        while behind < size and length <= longest:
            byte = 60 if behind == 0 else 62 if behind == size - 1 else text[start + behind - 1]
            narrow = np.uint32(np.uint32(narrow ^ np.uint32(np.int8(byte))) * np.uint32(16777619))
            behind += 1
            while 0 < behind < size - 1 and text[start + behind - 1] & 0xC0 == 0x80:
                byte = text[start + behind - 1]
                narrow = np.uint32(np.uint32(narrow ^ np.uint32(np.int8(byte))) * np.uint32(16777619))
                behind += 1
            if length >= shortest and not (length == 1 and (first == 0 or behind == size)):
                total += weights[num_words + np.int64(narrow % np.uint32(num_buckets))]
                count += 1
            length += 1
    return total, count


@_compiled
def _describe_words(
    text: Bytes, weights: Scores, shape: Any, end: int, sums: Scores, counts: NDArray[np.int64]
) -> Words:
    """The hash of every known word, a line each; adds its letter n-grams to its sum and count."""
    hashes = np.empty(shape[0], np.uint64)
    start, word = 0, 0
    for position in range(text.size):
        if text[position] == 10:
            hashes[word] = _hash_word(text, start, position)[0]
            if word != end:
                total, count = _letter_ngrams(text, start, position, weights, shape)
                sums[word] += total
                counts[word] += count
            start, word = position + 1, word + 1
    return hashes


@_compiled
def _index_words(hashes: Words) -> Any:
    size = 16
    while size < 2 * hashes.size:
        size *= 2
    keys, ids = np.zeros(size, np.uint64), np.full(size, -1, np.int64)
    for word in range(hashes.size):
        slot = np.int64(hashes[word] & np.uint64(size - 1))
        while ids[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        keys[slot], ids[slot] = hashes[word], word
    return keys, ids


@_compiled
def _find(wide: np.uint64, keys: Words, ids: NDArray[np.int64]) -> Any:
    slot = np.int64(wide & np.uint64(keys.size - 1))
    while ids[slot] >= 0:
        if keys[slot] == wide:
            return ids[slot]
        slot = (slot + 1) & (keys.size - 1)
    return np.int64(-1)


@_compiled
def _mark_at(text: Bytes, position: int, packed: NDArray[np.uint32]) -> Any:
    """Return the index of the mark beyond ASCII at `position`, or -1, and its length in bytes."""
    number = np.uint32(text[position])
    for length in (2, 3):
        if position + length > text.size:
            break
        number = np.uint32(number << np.uint32(8)) | np.uint32(text[position + length - 1])
        for mark in range(packed.size):
            if packed[mark] == number:
                return mark, length
    return -1, 1


@_compiled
def _add_word(
    text: Bytes,
    start: int,
    stop: int,
    keys: Words,
    ids: NDArray[np.int64],
    word_sums: Scores,
    word_counts: NDArray[np.int64],
    weights: Scores,
    shape: Any,
    memo: Any,
) -> Any:
    """The summed weights of a word's features, their number, and the word's 32-bit hash, signed.

    `memo` holds keys, sums and counts of unknown words, one for each slot; a count below 0 marks a free one.
    """
    wide, narrow = _hash_word(text, start, stop)
    word = _find(wide, keys, ids)
    if word >= 0:
        return word_sums[word], word_counts[word], np.int64(np.int32(narrow))
    memo_keys, memo_sums, memo_counts = memo
    slot = np.int64(wide & np.uint64(memo_keys.size - 1))
    if memo_counts[slot] < 0 or memo_keys[slot] != wide:
        memo_keys[slot] = wide
        memo_sums[slot], memo_counts[slot] = _letter_ngrams(text, start, stop, weights, shape)
    return memo_sums[slot], memo_counts[slot], np.int64(np.int32(narrow))


@_compiled
def _word_ngrams(hashes: NDArray[np.int64], size: int, weights: Scores, shape: Any) -> Any:
    """The summed weights of the n-grams of two words and more, and their number."""
    num_known, _, _, longest, num_buckets = shape
    total, count = 0.0, 0
    for first in range(size):
        gram = np.uint64(hashes[first])
        for behind in range(first + 1, min(size, first + longest)):
            gram = gram * np.uint64(116049371) + np.uint64(hashes[behind])
            total += weights[num_known + np.int64(gram % np.uint64(num_buckets))]
            count += 1
    return total, count


@_compiled
def _walk(
    text: Bytes,
    kinds: Bytes,
    packed: NDArray[np.uint32],
    enders: NDArray[np.bool_],
    keys: Words,
    ids: NDArray[np.int64],
    word_sums: Scores,
    word_counts: NDArray[np.int64],
    weights: Scores,
    shape: Any,
    min_words: int,
    max_words: int,
) -> Any:
    """For each window the sum of its features' weights, their number and its words; and each document's windows."""
    num_documents = (text == 0).sum()
    most = num_documents + (text.size // (2 * min_words) if min_words else 0)
    sums, counts, num_words = np.zeros(most), np.zeros(most, np.int64), np.zeros(most, np.int64)
    num_windows = np.zeros(num_documents, np.int64)
    mark = np.array([60, 47, 115, 62], np.uint8)  # </s>
    end_hash = np.int64(np.int32(_hash_word(mark, 0, 4)[1]))
    end = _find(_hash_word(mark, 0, 4)[0], keys, ids)
    hashes = np.empty(text.size + 1, np.int64)
    memo = np.empty(_MEMO_SLOTS, np.uint64), np.empty(_MEMO_SLOTS), np.full(_MEMO_SLOTS, -1)
    window, document, size, start, in_sentence = 0, 0, 0, -1, 0
    in_word, is_ended = False, False
    position = 0
    while position < text.size:
        kind, step = kinds[text[position]], 1
        if kind == _LEAD:
            which, step = _mark_at(text, position, packed)
            kind = _LETTER if which < 0 else _ENDER if enders[which] else _MARK
        is_mark, is_gap = kind in (_MARK, _ENDER), kind in (_SPACE, _NEWLINE, _END)
        if (is_mark or is_gap) and start >= 0:
            total, count, narrow = _add_word(
                text, start, position, keys, ids, word_sums, word_counts, weights, shape, memo
            )
            sums[window] += total
            counts[window] += count
            hashes[size] = narrow
            size, start = size + 1, -1
        is_full = min_words > 0 and num_words[min(window, most - 1)] >= min_words
        is_border = not is_gap and not in_word and is_full and in_sentence % max_words == 0
        if is_border or (kind == _END and (size or not min_words)):
            if end >= 0:
                sums[window] += word_sums[end]
                counts[window] += word_counts[end]
            hashes[size] = end_hash
            total, count = _word_ngrams(hashes, size + 1, weights, shape)
            sums[window] += total
            counts[window] += count
            num_windows[document] += 1
            window, size = window + 1, 0
        if not is_gap and not in_word:
            in_word = True
            num_words[window] += 1
            in_sentence += 1
        if is_mark:
            total, count, narrow = _add_word(
                text, position, position + step, keys, ids, word_sums, word_counts, weights, shape, memo
            )
            sums[window] += total
            counts[window] += count
            hashes[size] = narrow
            size += 1
            is_ended = kind == _ENDER
        elif not is_gap:
            start = position if start < 0 else start
            is_ended = False
        else:
            in_word = False
            if is_ended or kind != _SPACE:
                in_sentence, is_ended = 0, False
            document += kind == _END
        position += step
    return sums[:window], counts[:window], num_words[:window], num_windows
