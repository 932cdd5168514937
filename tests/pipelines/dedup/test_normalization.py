"""Normalised words: by hand, against the table that compiled code reads, and whatever the composition."""

import unicodedata

import pytest

from pipelines.dedup.normalization import DROP, EXPANDS, SPACE, fold, folding_table, normalize
from tests.pipelines.dedup.passages import TEXTS


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  Ça  va?\tTrès\nbien! ", "ca va tres bien"),
        ("don't e-mail", "dont email"),
        ("$5 + 3 = 8 ©", "5 3 8"),
        ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
        ("", ""),
        (" .,; ", ""),
    ],
)
def test_normalised_text(text, expected):
    assert normalize(text) == expected


def test_the_table_says_what_fold_says_of_every_character():
    table, expansions = folding_table()

    def unfold(code):
        value = int(table[code])
        if value in (SPACE, DROP):
            return " " if value == SPACE else ""
        if value >= EXPANDS:
            first = value - EXPANDS
            return "".join(map(chr, expansions[first + 1 : first + 1 + expansions[first]]))
        return chr(value)

    every = [*range(0xD800), *range(0xE000, 0x20000), *range(0x20000, 0x110000, 7)]
    assert [chr(code) for code in every if unfold(code) != fold.__wrapped__(chr(code))] == []


def test_normalisation_knows_nothing_of_composition():
    for text in TEXTS:
        assert normalize(unicodedata.normalize("NFC", text)) == normalize(unicodedata.normalize("NFD", text))
