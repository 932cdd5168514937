"""Tokens against the classifiers' preprocessing in plain Python, and their hashes against their definition."""

import random

import pyarrow as pa
import pytest

from pipelines.classifiers.fasttext_tokens import BEGINS_SENTENCE, BEGINS_WORD, ENDS_DOCUMENT, tokens_of
from pipelines.classifiers.preprocessing import normalize

PIECES = [
    "stone",
    "naïve",
    "Σίσυφος",
    "日本語",
    "😀",
    "don't",
    "end…",
    "“quoted”",
    "x_y",
    "3.14",
    "«b»",
    "—",
    "Â",
    "\u2000",
    "İSTANBUL",
    "ΟΔΟΣ",
    "ȺȾ",
    "\u212aELVIN",
]
BORDERS = [" ", "  ", "\n", "\r\n\n", "\t", "\u00a0", ""]


def random_texts(seed, number=60):
    source = random.Random(seed)
    sizes = [source.randint(0, 30) for _ in range(number)]
    return ["".join(source.choice(PIECES) + source.choice(BORDERS) for _ in range(size)) for size in sizes]


def spelt_by_document(tokens):
    """The tokens' own bytes, as the words of each document."""
    documents, words = [], []
    for start, stop, flags in zip(tokens.starts.tolist(), tokens.stops.tolist(), tokens.flags.tolist(), strict=True):
        if flags & ENDS_DOCUMENT:
            documents.append(words)
            words = []
        else:
            words.append(tokens.text[start:stop].tobytes().decode())
    assert not words
    return documents


@pytest.mark.parametrize("seed", range(4))
def test_tokens_are_the_words_of_normalised_texts(seed):
    texts = ["", "...", "a", "\0", *random_texts(seed)]
    tokens = tokens_of(texts)
    assert tokens.num_documents == len(texts)
    assert spelt_by_document(tokens) == [normalize(text.replace("\0", " ")).split() for text in texts]


def test_every_character_is_read_as_python_reads_it():
    texts = [f"x{chr(code)}Y" for code in (*range(0xD800), *range(0xE000, 0x20000), 0x2F800, 0x10FFFF)]
    assert spelt_by_document(tokens_of(texts)) == [normalize(text.replace("\0", " ")).split() for text in texts]


def test_a_column_is_read_as_its_texts_are():
    texts = random_texts(9)
    column = pa.array(["before", *texts, "behind"], pa.large_string()).slice(1, len(texts))
    assert spelt_by_document(tokens_of(column)) == spelt_by_document(tokens_of(texts))


def test_half_a_surrogate_pair_is_a_question_mark():
    assert spelt_by_document(tokens_of(["a\ud800b"])) == [["a", "?", "b"]]


def test_words_and_sentences_begin_where_white_space_ends():
    tokens = tokens_of(["one, two. three 3.5\nfour", "five"])  # one , two . three 3 . 5 four, five
    flags = [each & (BEGINS_WORD | BEGINS_SENTENCE) for each in tokens.flags.tolist()]
    both, word, neither = BEGINS_WORD | BEGINS_SENTENCE, BEGINS_WORD, 0
    assert flags[:9] == [
        both,
        neither,
        word,
        neither,
        both,
        word,
        neither,
        neither,
        both,
    ]
    assert flags[10] == both


def test_hashes_are_fnv_1a():
    tokens = tokens_of(["naïve stone"])
    for word, wide, narrow in zip(["naïve", "stone"], tokens.wide.tolist(), tokens.narrow.tolist(), strict=False):
        expected_wide, expected_narrow = 0xCBF29CE484222325, 2166136261
        for byte in word.encode():
            expected_wide = (expected_wide ^ byte) * 0x100000001B3 % 2**64
            signed = byte if byte < 128 else byte - 256
            expected_narrow = (expected_narrow ^ (signed % 2**32)) * 16777619 % 2**32
        assert wide == expected_wide
        assert narrow % 2**32 == expected_narrow
