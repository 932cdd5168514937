"""The table of code points against Python's own character properties."""

import sys

import regex

from pipelines.filters.code_points import BULLET, DIGIT, END, LETTER, SPACE, kinds_of_code_points


def test_each_bit_is_pythons_word_for_it():
    table = kinds_of_code_points()
    assert table.size == sys.maxunicode + 1
    every = [*range(0xD800), *range(0xE000, sys.maxunicode + 1)]
    for bit, of in ((SPACE, str.isspace), (LETTER, str.isalpha), (DIGIT, str.isdigit)):
        assert [code for code in every if bool(table[code] & bit) != of(chr(code))] == []


def test_sentences_end_in_every_script():
    table = kinds_of_code_points()
    ends = {chr(code) for code in range(sys.maxunicode + 1) if table[code] & END}
    assert {".", "!", "?", "…", "”", "。", "؟", "।"} <= ends
    assert not {",", ":", ";", "'", "-"} & ends
    terminal = regex.compile(r"\p{Sentence_Terminal}")
    assert {chr(code) for code in range(0x20000) if not 0xD800 <= code < 0xE000 and terminal.match(chr(code))} <= ends
    bullets = {chr(code) for code in range(0x3000) if table[code] & BULLET}
    assert {"•", "-", "*", "–", "■"} <= bullets and not bullets & {"_", "+", "a", "."}
