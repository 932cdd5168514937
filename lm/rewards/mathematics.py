r"""Answers of mathematics, read by a grammar of their own and compared exactly; no text is ever evaluated by Python.

    answer     [letter =] (list | union | quantity)
    list       one of ( [ { \{, items with commas between, one of ) ] } \}; intervals and sets are lists
    union      lists with \cup between
    quantity   [$] sum [unit or %]
    sum        product (+ or − product)…
    product    power (* / \times \cdot \div power)…
    power      [sign] atom [^ integer]
    atom       number | number \frac{sum}{sum} | \frac{sum}{sum} | \sqrt{sum} | ( sum ) | { sum } | \infty

Numbers are exact fractions. Sizes are bounded before anything is computed: 256 characters, 32 levels, powers of at
most 2,048 bits. What does not fit, factorials and letters included, is not an answer.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

LONGEST = 256
_DEEPEST = 32
_MOST_BITS = 2_048

Number = Fraction | float
"""A fraction, or a signed infinity."""

_UNITS: dict[str, tuple[str, Fraction]] = {
    **{name: ("m", Fraction(1)) for name in ("m", "meter", "metre")},
    **{name: ("m", Fraction(1, 1000)) for name in ("mm", "millimeter", "millimetre")},
    **{name: ("m", Fraction(1, 100)) for name in ("cm", "centimeter", "centimetre")},
    **{name: ("m", Fraction(1000)) for name in ("km", "kilometer", "kilometre")},
    **{name: ("g", Fraction(1)) for name in ("g", "gram")},
    **{name: ("g", Fraction(1, 1000)) for name in ("mg", "milligram")},
    **{name: ("g", Fraction(1000)) for name in ("kg", "kilogram")},
    **{name: ("s", Fraction(1)) for name in ("s", "sec", "second")},
    **{name: ("s", Fraction(60)) for name in ("min", "minute")},
    **{name: ("s", Fraction(3600)) for name in ("h", "hr", "hour")},
    **{name: ("$", Fraction(1)) for name in ("$", "dollar", "usd")},
    **{name: ("$", Fraction(1, 100)) for name in ("cent",)},
}
"""Units that convert into each other: the unit to compare in, and the factor to it. Others are compared by name."""

_WRAPPERS = re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox)\s{0,2}\{([^{}]{0,64})\}")
_REPLACED = {
    "\\left": "", "\\right": "", "\\!": "", "\\,": "", "\\;": "", "\\ ": " ", "~": " ", "\\dfrac": "\\frac",
    "\\tfrac": "\\frac", "\\times": "*", "\\cdot": "*", "\\div": "/", "×": "*", "÷": "/", "−": "-", "–": "-",
    "\\%": "%", "\\$": "$", "\\{": "⟨", "\\}": "⟩", "∞": "\\infty", "∪": "\\cup", "√": "\\sqrt", "\\(": "", "\\)": "",
    "\\[": "", "\\]": "",
}  # fmt: skip
_DIGITS = re.compile(r"[0-9]+")
_DECIMAL = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+")
_NAME = re.compile(r"[A-Za-z$]{1,20}")
_OPENING, _CLOSING = "([{⟨", ")]}⟩"


class _UnreadableError(Exception):
    """A text that the grammar does not have."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with a unit; `computed` where it was an expression rather than a number."""

    value: Number
    unit: str = ""
    computed: bool = False


@dataclass(frozen=True, slots=True)
class ListOf:
    """Items between brackets: a set where `brackets` is `{}`, an interval or tuple otherwise."""

    brackets: str
    items: tuple[Quantity, ...]


Answer = Quantity | tuple[ListOf, ...]
"""A quantity, or a union of lists."""


def read_answer(text: str) -> Answer | None:
    """Return the value of an answer, or None where the grammar has no such text."""
    if len(text) > LONGEST:
        return None
    try:
        return _Reader(_plain(text)).answer()
    except (_UnreadableError, ZeroDivisionError):
        return None


def is_equivalent(response: str, truth: str) -> bool:
    """Return whether two answers are the same, exactly.

    A unit may be missing on one side. `n%` is n hundredths, or n where the truth has no sign of percent. Only where
    the truth is an expression, or a fraction not in lowest terms, may the response be one too: the answer to 12 / 4 is
    not `12 / 4`. A truth that the grammar does not have, such as a name, is compared as text.
    """
    wanted = read_answer(truth)
    if wanted is None:
        return bool(response.strip()) and len(response) <= LONGEST and _folded(response) == _folded(truth)
    found = read_answer(response)
    if isinstance(wanted, Quantity):
        return isinstance(found, Quantity) and _same_quantity(found, wanted)
    if not isinstance(found, tuple) or len(found) != len(wanted):
        return False
    return all(_same_list(one, other) for one, other in zip(_ordered(found), _ordered(wanted), strict=True))


def _same_quantity(found: Quantity, wanted: Quantity) -> bool:
    if found.computed and not wanted.computed:
        return False
    if not found.unit or not wanted.unit:
        as_percent = found.unit == "%" and found.value == wanted.value * 100
        return found.value == wanted.value or as_percent
    (one, factor), (other, other_factor) = _unit(found.unit), _unit(wanted.unit)
    return one == other and found.value * factor == wanted.value * other_factor


def _same_list(one: ListOf, other: ListOf) -> bool:
    if one.brackets != other.brackets or len(one.items) != len(other.items):
        return False
    return all(_same_quantity(a, b) for a, b in zip(_in_order(one), _in_order(other), strict=True))


def _in_order(values: ListOf) -> list[Quantity]:
    """Return a set's items by size, and other lists' as they stand."""
    return sorted(values.items, key=lambda item: item.value) if values.brackets == "{}" else list(values.items)


def _ordered(union: tuple[ListOf, ...]) -> list[ListOf]:
    return sorted(union, key=lambda each: [item.value for item in _in_order(each)])


def _unit(name: str) -> tuple[str, Fraction]:
    return _UNITS.get(name, (name, Fraction(1)))


def _folded(text: str) -> str:
    return " ".join(_plain(text).casefold().split()).rstrip(".")


def _plain(text: str) -> str:
    """Return the text without the LaTeX that only lays it out."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] == "$":
        text = text[1:-1]
    text = _WRAPPERS.sub(r" \1 ", text)
    for name, plain in _REPLACED.items():
        text = text.replace(name, plain)
    return text.strip().removesuffix(".").strip()


class _Reader:
    """A position in a text, and the rules of the grammar that move it on."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth, self._computed = text, 0, 0, False
        self._in_list = False

    def answer(self) -> Answer:
        """Return the whole text's value."""
        if match := re.match(r"[A-Za-z]\s{0,2}(=|\\in\b)\s{0,2}", self._text):
            self._at = match.end()
        start = self._at
        try:
            found: Answer = self._quantity()
            self._end()
        except _UnreadableError:
            self._at, self._depth, self._computed = start, 0, False
            found = self._union()
            self._end()
        return found

    def _union(self) -> tuple[ListOf, ...]:
        lists = [self._list()]
        while self._take("\\cup"):
            lists.append(self._list())
        return tuple(lists)

    def _list(self) -> ListOf:
        self._blanks()
        if self._at >= len(self._text) or (opening := self._text[self._at]) not in _OPENING:
            raise _UnreadableError
        self._at += 1
        self._in_list = True
        items = [self._quantity()]
        while self._take(","):
            items.append(self._quantity())
        self._blanks()
        closing = self._text[self._at : self._at + 1]
        if not closing or closing not in _CLOSING or (opening in "{⟨") != (closing in "}⟩"):
            raise _UnreadableError
        self._at += 1
        self._in_list = False
        if opening in "{⟨":
            values = {item.value: item for item in items}  # a set has no item twice
            return ListOf("{}", tuple(values.values()))
        return ListOf(opening + closing, tuple(items))

    def _quantity(self) -> Quantity:
        self._computed = False
        currency = self._take("$")
        value = self._sum()
        unit = "$" if currency else self._unit_name()
        return Quantity(value, unit, self._computed)

    def _unit_name(self) -> str:
        self._blanks()
        if self._take("%"):
            return "%"
        words = []
        while match := _NAME.match(self._text, self._at):
            words.append(match[0])
            self._at = match.end()
            self._blanks()
        name = " ".join(words)
        if len(words) > 3 or (len(name) == 1 and name not in _UNITS):
            raise _UnreadableError  # a letter is a variable
        if len(name) > 1:
            name = name.lower()
        singular = name[:-1] if len(name) > 3 and name.endswith("s") else name
        return "%" if singular == "percent" else singular

    def _sum(self) -> Number:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _UnreadableError
        value = self._product()
        while sign := self._take("+") or self._take("-"):
            self._computed = True
            other = self._product()
            value = self._finite(value) + (self._finite(other) if sign == "+" else -self._finite(other))
        self._depth -= 1
        return value

    def _product(self) -> Number:
        value, count = self._power(), 0
        while sign := self._take("*") or self._take("/"):
            count += 1
            other = self._power()
            self._computed |= sign == "*" or count > 1
            value = self._finite(value) * self._finite(other) if sign == "*" else self._fraction(value, other)
        return value

    def _power(self) -> Number:
        negative = False
        while sign := self._take("-") or self._take("+"):
            negative ^= sign == "-"
        value = self._atom()
        if self._take("^"):
            self._computed = True
            value = self._raised(self._finite(value), self._exponent())
        return -value if negative else value

    def _exponent(self) -> int:
        braces = self._take("{")
        sign = -1 if self._take("-") else 1
        match = _DIGITS.match(self._text, self._at)
        if match is None or len(match[0]) > 6:
            raise _UnreadableError
        self._at = match.end()
        if braces and not self._take("}"):
            raise _UnreadableError
        return sign * int(match[0])

    @staticmethod
    def _raised(value: Fraction, exponent: int) -> Fraction:
        bits = max(value.numerator.bit_length(), value.denominator.bit_length())
        if bits * abs(exponent) > _MOST_BITS:
            raise _UnreadableError
        return value**exponent

    def _atom(self) -> Number:
        self._blanks()
        if match := (_DECIMAL if not self._in_list else _PLAIN_DECIMAL).match(self._text, self._at):
            self._at = match.end()
            value = Fraction(match[0].replace(",", ""))
            if match[0].isdigit() and self._text.startswith("\\frac", self._at):
                value += self._finite(self._atom())
            return value
        if self._take("\\frac"):
            parts = [self._group(), self._group()]
            return self._fraction(*parts)
        if self._take("\\sqrt"):
            self._computed = True
            return self._root(self._finite(self._group()))
        if self._take("\\infty"):
            return math.inf
        for opening, closing in ("()", "{}"):
            if self._take(opening):
                value_in_brackets = self._sum()
                if not self._take(closing):
                    raise _UnreadableError
                return value_in_brackets
        raise _UnreadableError

    def _group(self) -> Number:
        """Return a sum in braces, or one digit, as in \\frac12."""
        self._blanks()
        if match := re.match(r"[0-9]", self._text[self._at : self._at + 1]):
            self._at += 1
            return Fraction(match[0])
        if not self._take("{"):
            raise _UnreadableError
        value = self._sum()
        if not self._take("}"):
            raise _UnreadableError
        return value

    @staticmethod
    def _root(value: Fraction) -> Fraction:
        if value < 0:
            raise _UnreadableError
        root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
        if root * root != value:
            raise _UnreadableError
        return root

    @staticmethod
    def _finite(value: Number) -> Fraction:
        if not isinstance(value, Fraction):
            raise _UnreadableError
        return value

    def _fraction(self, over: Number, under: Number) -> Fraction:
        """Return the quotient; a number as it stands only where it is a fraction of integers in lowest terms."""
        over, under = self._finite(over), self._finite(under)
        are_integers = over.denominator == under.denominator == 1
        self._computed |= not are_integers or math.gcd(over.numerator, under.numerator) != 1 or abs(under) == 1
        return over / under

    def _take(self, token: str) -> str:
        """Move on past the token and the blanks before it; return it, or nothing where it is not there."""
        self._blanks()
        if not self._text.startswith(token, self._at):
            return ""
        self._at += len(token)
        return token

    def _blanks(self) -> None:
        while self._text[self._at : self._at + 1] in (" ", "\t"):
            self._at += 1

    def _end(self) -> None:
        self._blanks()
        if self._at != len(self._text):
            raise _UnreadableError


_PLAIN_DECIMAL = re.compile(r"[0-9]+(?:\.[0-9]+)?|\.[0-9]+")
"""A number without commas, which stand between the items of a list."""
