"""Bullets and numbers of lists, as `start`, `value`, `reversed` and `type` set them (HTML, 4.4.5 and 4.4.8)."""

from __future__ import annotations

import re

from pipelines.extract.elements import attribute

_NUMBER = re.compile(r"\s*(-?\d{1,9})")
_ROMAN = {1000: "m", 900: "cm", 500: "d", 400: "cd", 100: "c", 90: "xc", 50: "l", 40: "xl"}
_ROMAN |= {10: "x", 9: "ix", 5: "v", 4: "iv", 1: "i"}


class ListCounter:
    """The bullet of each item of one list, in order."""

    def __init__(self, name: str, attributes: str) -> None:
        is_counted = ' reversed="' not in attributes or ' start="' in attributes
        self._is_ordered = name == "ol" and is_counted  # the length of a list that counts down is not known yet
        self._type = attribute(attributes, "type") if attributes else ""
        self._step = -1 if ' reversed="' in attributes else 1
        self._number = _integer(attribute(attributes, "start"), 1) if attributes else 1

    def bullet(self, attributes: str) -> str:
        """Return the bullet of the next item, whose attributes may set its number."""
        if not self._is_ordered:
            return "• "
        number = _integer(attribute(attributes, "value"), self._number) if attributes else self._number
        self._number = number + self._step
        return f"{numeral(number, self._type)}. "


def numeral(number: int, kind: str) -> str:
    """Return a number in the style of an ordered list: `1`, `a`, `A`, `i` or `I`; in digits where that style has
    none.
    """
    if kind in ("a", "A") and number > 0:
        letters = ""
        while number:
            number, rest = divmod(number - 1, 26)
            letters = chr(ord(kind) + rest) + letters
        return letters
    if kind in ("i", "I") and 0 < number < 4000:
        letters = ""
        for value, sign in _ROMAN.items():
            letters += sign * (number // value)
            number %= value
        return letters if kind == "i" else letters.upper()
    return str(number)


def _integer(value: str, otherwise: int) -> int:
    match = _NUMBER.match(value)
    return int(match[1]) if match else otherwise
