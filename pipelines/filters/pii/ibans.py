"""Bank account numbers: IBANs of all countries in the registry, with a valid length and valid check digits.

Groups may be parted by spaces or dashes, and the letters may be small. As words in a row might have a country's letters
and the right remainder by chance, eight of the characters must be digits, as they are in all accounts.

Source: ISO 13616 registry, https://www.swift.com/standards/data-standards/iban-international-bank-account-number.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pipelines.filters.pii.spans import DASHES, SEPARATOR_CHARACTERS, SPACES, Span

_LENGTHS = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
IBAN_LENGTHS: Mapping[str, int] = MappingProxyType(
    {country: length for length, countries in _LENGTHS.items() for country in countries.split()}
)
"""Country to the length of its account numbers."""

_MIN_DIGITS = 8
_LETTERS_AS_NUMBERS = {ord(letter): str(number) for number, letter in enumerate(string.ascii_uppercase, start=10)}
_WITHOUT_SEPARATORS = dict.fromkeys(map(ord, SEPARATOR_CHARACTERS))
_CHARACTERS = re.compile(rf"[A-Za-z0-9](?:[{SPACES}{DASHES}.]?+[A-Za-z0-9]){{14,32}}+")


def find_ibans(text: str, runs: Sequence[Span]) -> list[Span]:
    """Return the account numbers in `text`; each begins two letters before one of its digit runs."""
    found: list[Span] = []
    for start, _ in runs:
        if not text[start - 1 : start].isalpha():  # most runs do not follow a letter
            continue
        length = IBAN_LENGTHS.get(text[start - 2 : start].upper()) if start >= 2 else None
        if length is None or (found and start < found[-1][1]) or not _may_begin(text, start - 2):
            continue
        span = _account(text, start - 2, length)
        if span is not None:
            found.append(span)
    return found


def _may_begin(text: str, start: int) -> bool:
    before = text[start - 1] if start else " "
    return not (before.isascii() and before.isalnum()) or text[max(0, start - 4) : start].upper() == "IBAN"


def _account(text: str, start: int, length: int) -> Span | None:
    """Return the account number of `length` characters that begins at `start`, if one does."""
    written = _CHARACTERS.match(text, start)
    if written is None:
        return None
    compact = written[0].translate(_WITHOUT_SEPARATORS)[:length]
    if len(compact) < length or not _passes_mod_97(compact):
        return None
    if sum(map(str.isdigit, compact[4:])) < _MIN_DIGITS:
        return None
    stop = [place for place in range(start, written.end()) if text[place].isalnum()][length - 1] + 1
    following = text[stop : stop + 1]
    return None if following.isascii() and following.isalnum() else (start, stop)


def _passes_mod_97(compact: str) -> bool:
    """Return whether ISO 7064 holds: the first four characters moved to the end, letters as 10 to 35, leaves 1 when
    divided by 97.
    """
    return int((compact[4:] + compact[:4]).upper().translate(_LETTERS_AS_NUMBERS)) % 97 == 1
