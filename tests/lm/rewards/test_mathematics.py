"""The grammar of mathematical answers: what is the same, what is not, and what is refused before it is computed."""

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.rewards.mathematics import Quantity, is_equivalent, read_answer

SAME = [
    ("72", "72"),
    ("072", "72"),
    ("1,234", "1234"),
    ("-5", "-5"),
    ("−5", "-5"),
    ("0.50", r"\frac{1}{2}"),
    ("1/2", "0.5"),
    (r"\dfrac12", "0.5"),
    ("-3/4", "-0.75"),
    (r"-\frac{3}{4}", "-0.75"),
    (r"1\frac{1}{2}", "1.5"),
    ("75%", "0.75"),
    (r"75\%", "75"),
    ("75 percent", "75%"),
    ("$12.50", "12.5"),
    ("12.5 dollars", "$12.50"),
    ("1250 cents", "$12.50"),
    ("5 cm", "0.05 m"),
    ("2 hours", "120 minutes"),
    (r"5\text{ cm}", "5 cm"),
    ("18 eggs", "18"),
    ("18", "18 eggs"),
    ("18 eggs", "18 egg"),
    ("x = 5", "5"),
    ("$5$", "5"),
    ("5.", "5"),
    (r"1024", r"2^{10}"),
    ("2^10", "2^{10}"),
    ("3+4", "3 + 4"),
    ("7", "3 + 4"),
    (r"3 \times 4 + 2", "(3 * 4) + 2"),
    (r"\sqrt{49}", r"14 / 2"),
    (r"\{1, 2, 3\}", "{3, 2, 1}"),
    ("{1, 1, 2}", r"\{1,2\}"),
    ("[0, 1)", r"\left[0, 1\right)"),
    (r"(-\infty, 3]", r"( -\infty , 3 ]"),
    (r"[0,1] \cup (2, \infty)", r"(2,\infty)\cup[0,1]"),
    ("(1, 2, 3)", "(1,2,3)"),
    (r"x \in [1, 2]", "[1,2]"),
    (r"\text{Evelyn}", "evelyn"),
    ("1" + "0" * 200, "1" + "0" * 200),
]
DIFFERENT = [
    ("73", "72"),
    ("7.2", "72"),
    ("12,34", "1234"),
    ("0.333", "1/3"),
    ("0.333333333333333333", "1/3"),
    ("75%", "7.5"),
    ("0.75", "75%"),
    ("5 cm", "5 m"),
    ("5 apples", "5 pears"),
    ("(0, 1)", "[0, 1)"),
    ("{1, 2}", "(1, 2)"),
    ("(2, 1)", "(1, 2)"),
    ("{1, 2}", "{1, 2, 3}"),
    ("[0,1]", r"[0,1] \cup (2,3)"),
    ("2x", "2"),
    ("x", "5"),
    ("1/0", "0"),
    ("5 or 6", "5"),
    ("5, 6", "5"),
    ("Evelyn and Tom", "Evelyn"),
    ("", "5"),
    ("", ""),
    # echoes of the question
    ("3 + 4", "7"),
    ("12/4", "3"),
    (r"\frac{12}{4}", "3"),
    ("6/8", "3/4"),
    ("2^10", "1024"),
    (r"\sqrt{49}", "7"),
    ("7/1", "7"),
    ("7 * 1", "7"),
]


@pytest.mark.parametrize(("response", "truth"), SAME)
def test_the_same_answers(response, truth):
    assert is_equivalent(response, truth)


@pytest.mark.parametrize(("response", "truth"), DIFFERENT)
def test_different_answers(response, truth):
    assert not is_equivalent(response, truth)


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    "text",
    [
        "5^5^5^5^5",
        "9**9**9**9",
        "10000000!",
        "2^999999",
        "(2^2000)*(2^2000)^9",
        "__import__('os').system('true')",
        r"\frac{1}{" * 40 + "7" + "}" * 40,
        "(" * 100 + "7" + ")" * 100,
        "9" * 1_000_000,
        "-" * 250 + "7 7",
        "７",
        "1e3",
        "0x10",
        "7j",
        "inf",
        "7\x00",
        "{",
        "[1,",
        "1" + ",234" * 200_000,
    ],
)
def test_what_the_grammar_does_not_have_is_refused_at_once(text):
    started = time.monotonic()
    assert read_answer(text) is None
    assert not is_equivalent(text, "7")
    assert time.monotonic() - started < 30


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_fractions_are_exact(numerator, denominator):
    value = Fraction(numerator, denominator)
    over, under = value.numerator, value.denominator
    found = read_answer(rf"\frac{{{over}}}{{{under}}}")
    assert isinstance(found, Quantity) and found.value == value
    assert is_equivalent(f"{over}/{under}", str(value)) == (under > 1)  # over 1 it is not in lowest terms
    assert not is_equivalent(f"{over}/{under}", str(value + 1))


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    read_answer(text)
    assert isinstance(is_equivalent(text, "7"), bool)


@given(st.text(alphabet=r"0123456789+-*/^(){}[]\frac,.%$ ", max_size=60))
def test_any_text_of_the_grammars_characters_is_read_or_refused(text):
    read_answer(text)
