"""Texts as the classifiers read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.classifiers.preprocessing import SPLIT_OFF, normalize, one_line


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Don't stop!", "don ' t stop !"),
        ("“So…” he said—twice", "“ so … ” he said — twice"),
        ("a.b,c", "a . b , c"),
        ("  A\tB\r\nC\u00a0D\u2028E ", "a b c d e"),
        ("ÄÖÜ İ", "äöü i̇"),
        ("", ""),
    ],
)
def test_marks_are_words_of_their_own(text, seen):
    assert normalize(text) == seen


@given(st.text())
def test_a_text_is_one_line_and_normalising_again_changes_nothing(text):
    seen = normalize(text)
    assert one_line(seen) == seen and len(seen.splitlines()) <= 1
    assert normalize(seen) == seen
    assert all(len(word) == 1 for word in seen.split(" ") if set(word) & set(SPLIT_OFF))
