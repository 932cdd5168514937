"""Normalised words: by hand, against the table that compiled code reads, and whatever the composition."""

import unicodedata

import pytest

from pipelines.dedup.normalization import DROP, EXPANDS, SPACE, fold, folding_table, normalize

TEXTS = [
    "Čtyři žluťoučké kočky — a ještě jedna! Ω ÉCOLE naïve ﬁne İstanbul",
    "한국어 문장은 여러 낱말로 이루어져 있다 그리고 길다",
    "Ὀδυσσεύς ἄνδρα μοι ἔννεπε Μοῦσα ΠΟΛΎΤΡΟΠΟΝ ὃς μάλα πολλὰ",
    "Ｆｕｌｌｗｉｄｔｈ 𝐁𝐨𝐥𝐝 𝒮cript ǅ ß ẞ Å ﬃ 豈 更 車",
]


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
