"""The compiled search for n-grams: hashes against the formula in plain integers, and the table against a set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.decontamination.kernels import BASE, LENGTH_SALT, fill_table, find_suspects, ngram_hashes, words_of
from pipelines.dedup.normalization import folding_table
from pipelines.documents.text_buffers import text_buffers

WRAP = 2**64
words = st.lists(st.integers(0, WRAP - 1), max_size=40).map(lambda values: np.array(values, np.uint64))


def mixed(value):
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % WRAP
    value = (value ^ value >> 27) * 0x94D049BB133111EB % WRAP
    return value ^ value >> 31


def plain_hashes(values, length):
    """The formula of the module, one n-gram at a time."""
    found = []
    for start in range(len(values) - length + 1):
        total = 0
        for word in values[start : start + length]:
            total = (total * int(BASE) + word) % WRAP
        found.append(mixed((total + length * int(LENGTH_SALT)) % WRAP) | 1)
    return found


@settings(max_examples=100, deadline=None)
@given(words, st.integers(1, 15))
def test_rolling_hashes_are_those_of_the_formula(values, length):
    assert ngram_hashes(values, length).tolist() == plain_hashes(values.tolist(), length)


@pytest.mark.parametrize("spread", [1, 2**40])  # neighbours fill neighbouring slots, or all the same
def test_suspects_are_those_whose_hash_the_table_holds(spread):
    texts = [f"one two three four {number} five six" for number in range(200)]
    data, offsets = text_buffers(texts)
    folding = folding_table()
    hashes = [set(ngram_hashes(words_of(data[offsets[i] : offsets[i + 1]], *folding), 3).tolist()) for i in range(200)]
    held = hashes[7] & hashes[8] ^ hashes[7]  # the n-grams that text 7 has and text 8 has not
    crowd = {int(value) * spread % WRAP | 1 for value in range(300)}
    table = np.zeros(1024, np.uint64)
    fill_table(np.array(sorted(held | crowd), np.uint64), table)
    assert sorted(table[table != 0].tolist()) == sorted(held | crowd)
    suspects = np.zeros(200, np.bool_)
    find_suspects(data, offsets, *folding, np.array([3], np.int64), table, suspects)
    assert suspects.tolist() == [bool(each & (held | crowd)) for each in hashes]
    assert 0 < suspects.sum() < 200
