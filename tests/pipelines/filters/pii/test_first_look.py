"""The compiled first look against the plain one."""

import random
import re
import sys

import pyarrow as pa
import pytest

from pipelines.filters.pii.first_look import FirstLook, first_look, first_looks
from pipelines.filters.pii.spans import SEPARATOR_CHARACTERS, SEPARATORS

PIECES = (
    *"0123456789aAtTfgé’€ß日😀@:([])\n,_;", *SEPARATOR_CHARACTERS, "12", "1 2", "(at)", "[ AT ]", " at ", "::",
    ":ab12:", ":abcde:", "2001:db8::1", "10:30",
)  # fmt: skip


def column(texts):
    return pa.array(texts, pa.large_string())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", FirstLook([], False, False)),
        ("é 12-3 (4) [at", FirstLook([(2, 9)], True, False)),
        ("a@b 1.", FirstLook([(4, 5)], True, False)),
        ("1\u20112\u00a0·3–", FirstLook([(0, 6)], False, False)),
        ("at 10:30:", FirstLook([(3, 5), (6, 8)], False, True)),
        (":12345: (cat) [a", FirstLook([(1, 6)], False, False)),
        ("7 (at) x", FirstLook([(0, 1)], True, False)),
    ],
)
def test_what_is_seen(text, expected):
    assert first_look(text) == expected
    assert first_looks(column([text])) == [expected]


def test_no_separator_is_left_out():
    assert "".join(re.findall(SEPARATORS, "".join(map(chr, range(sys.maxunicode + 1))))) == SEPARATOR_CHARACTERS


def test_the_compiled_look_is_the_plain_one():
    dice = random.Random(3)
    texts = ["".join(dice.choices(PIECES, k=dice.randrange(40))) for _ in range(5000)]
    looks = first_looks(column(texts))
    for text, look in zip(texts, looks, strict=True):
        assert look == first_look(text), text
    assert first_looks(column(texts).slice(17, 100)) == looks[17:117]
    assert first_looks(column([])) == []
