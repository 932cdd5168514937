"""Scoring with a two-class fastText model, from weights that are summed up once.

fastText's answer for a text is softmax(O · mean(rows)), where the rows are those of its words, their letter n-grams and
its word n-grams. With two classes that is the logistic function of the mean over the rows of one number each,

    P(positive) = 1 / (1 + exp(-mean(w[row]))),    w = I · (o_positive - o_negative)

so a feature costs one look-up in place of `dim`, and a known word all of its letter n-grams in one. The features are
fastText's own (dictionary.cc of 0.9.2: FNV-1a of 32 bits over signed bytes, `hash * 116049371 + next` for word n-grams,
a line's end as the word `</s>`). Sums are in 64 bits where fastText's are in 32; 1e-5 is added to a probability as in
fastText. Words are identified by 64-bit hashes.

Documents are read once for all models, by `fasttext_tokens`. Where asked, windows end as `filters.harmful` cuts them.

Not covered: quantised models and other losses than softmax, which are refused.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled
from lm.errors import InputError
from pipelines.classifiers.fasttext_tokens import (
    BEGINS_SENTENCE,
    BEGINS_WORD,
    ENDS_DOCUMENT,
    Bytes,
    Tokens,
    Words,
    hash_word,
)

Scores = NDArray[np.float64]

_ADDED = 1e-5
_END_OF_LINE = "</s>"
_MEMO_SLOTS = 1 << 16
"""Words whose sums are remembered within a batch, known or not: the common ones, in 1.5 MB."""
_MEMO = np.dtype([("key", np.uint64), ("sum", np.float64), ("count", np.int64)], align=True)
"""One slot: a word's hash, and what `_sums_of` found; a count below 0 marks a free one."""
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

    def scores(self, tokens: Tokens) -> Scores:
        """Return the probability of the positive class for each document; 0 for a document without a word."""
        return self.windows(tokens, 0, 0).scores

    def windows(self, tokens: Tokens, min_words: int, max_words: int) -> Windows:
        """Return the same for windows of sentences: one ends before a sentence, or before each `max_words`-th word of
        one, where it has `min_words` already. With 0 and 0 a document is one window.
        """
        model = (self.keys, self.ids, self.word_sums, self.word_counts, self.weights, self.shape)
        sums, counts, num_words, num_windows = _walk(tokens, model, min_words, max_words)
        found = 1 / (1 + np.exp(-sums / np.maximum(counts, 1))) + _ADDED
        scores = np.where(num_words > 0, np.minimum(found, 1.0), 0.0)
        return Windows(scores=scores, num_words=num_words, num_windows=num_windows)


class Windows(NamedTuple):
    """Scores and words of windows, document after document, and the number of windows of each document."""

    scores: Scores
    num_words: NDArray[np.int64]
    num_windows: NDArray[np.int64]


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
def _letter_ngrams(text: Bytes, start: int, stop: int, weights: Scores, shape: Any) -> Any:
    """Return the summed weights of the letter n-grams of `<word>`, and their number."""
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
    """Return the hash of every known word, a line each; adds its letter n-grams to its sum and count."""
    hashes = np.empty(shape[0], np.uint64)
    start, word = 0, 0
    for position in range(text.size):
        if text[position] == 10:
            hashes[word] = hash_word(text, start, position)[0]
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
def _word_ngrams(hashes: NDArray[np.int64], size: int, weights: Scores, shape: Any) -> Any:
    """Return the summed weights of the n-grams of two words and more, and their number."""
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
def _sums_of(tokens: Tokens, token: int, model: Any) -> Any:
    """Return the summed weights of a word and its letter n-grams, and their number."""
    text, _, wide, _, starts, stops, _ = tokens
    keys, ids, word_sums, word_counts, weights, shape = model
    word = _find(wide[token], keys, ids)
    if word >= 0:
        return word_sums[word], word_counts[word]
    return _letter_ngrams(text, starts[token], stops[token], weights, shape)


@_compiled
def _walk(tokens: Tokens, model: Any, min_words: int, max_words: int) -> Any:
    """Return the sum of features' weights, their number and the words of each window, and each document's windows."""
    _, num_documents, wide, narrow, _, _, flags = tokens
    keys, ids, word_sums, word_counts, weights, shape = model
    most = num_documents + (wide.size // min_words if min_words else 0)
    sums, counts, num_words = np.zeros(most), np.zeros(most, np.int64), np.zeros(most, np.int64)
    num_windows = np.zeros(num_documents, np.int64)
    mark = np.array([60, 47, 115, 62], np.uint8)  # </s>
    end_wide, end_narrow = hash_word(mark, 0, 4)
    end = _find(end_wide, keys, ids)
    hashes = np.empty(wide.size + 1, np.int64)
    memo = np.empty(_MEMO_SLOTS, _MEMO)
    for slot in range(_MEMO_SLOTS):
        memo[slot].count = -1
    window, document, size, in_sentence, words = 0, 0, 0, 0, 0
    total, count = 0.0, 0
    for token in range(wide.size):
        flag = flags[token]
        if flag & BEGINS_SENTENCE:
            in_sentence = 0
        is_last = flag & ENDS_DOCUMENT != 0
        is_border = flag & BEGINS_WORD != 0 and min_words > 0 and words >= min_words and in_sentence % max_words == 0
        if is_border or (is_last and (size or not min_words)):
            if end >= 0:
                total += word_sums[end]
                count += word_counts[end]
            hashes[size] = np.int64(np.int32(end_narrow))
            of_ngrams, num_ngrams = _word_ngrams(hashes, size + 1, weights, shape)
            sums[window], counts[window], num_words[window] = total + of_ngrams, count + num_ngrams, words
            num_windows[document] += 1
            window, size, words, total, count = window + 1, 0, 0, 0.0, 0
        if is_last:
            document += 1
            continue
        if flag & BEGINS_WORD:
            words += 1
            in_sentence += 1
        known = memo[np.int64(wide[token] & np.uint64(_MEMO_SLOTS - 1))]
        if known.count < 0 or known.key != wide[token]:
            known.key = wide[token]
            known.sum, known.count = _sums_of(tokens, token, model)
        total += known.sum
        count += known.count
        hashes[size] = np.int64(narrow[token])
        size += 1
    return sums[:window], counts[:window], num_words[:window], num_windows
