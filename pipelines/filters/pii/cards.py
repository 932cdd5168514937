"""Payment cards: 12 to 19 digits of an issuer's range, with a valid Luhn checksum.

Each length has ranges of its own, as numbers of goods and of telephones (IMEI) are as long and have the same sum.
Groups are parted by one kind of sign: spaces or dashes as typed or typeset, or dots.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pipelines.filters.pii.spans import DASHES, SPACES, Span

_SIGN = f"[{SPACES}{DASHES}.]"
_CARD = re.compile(
    r"(?<![\w.])(?<!\d-)(?:"
    r"[2-6]\d{11,18}"
    r"|(?:1800|2131)\d{11}|0604\d{8}"  # JCB, Maestro
    rf"|[2-6]\d{{3}}({_SIGN})\d{{4}}\1\d{{4}}(?:\1\d{{4}}\1\d{{1,3}}|\1\d{{1,7}})?"
    rf"|(?:1800|2131)({_SIGN})\d{{4}}\2\d{{4}}\2\d{{3}}"
    rf"|3\d{{3}}({_SIGN})\d{{6}}\3\d{{4,5}}"  # American Express, Diners Club
    r")(?!\w)(?![.\-]\d)",
    re.ASCII,
)
_LAST_GROUP = re.compile(rf"{_SIGN}\d{{1,4}}$")
_MAESTRO = "50|5[678]|6"
_DINERS = "30|36|38|39"
_ISSUERS: Mapping[int, re.Pattern[str]] = MappingProxyType(
    {
        12: re.compile(f"0604|{_MAESTRO}"),
        13: re.compile(f"4|{_MAESTRO}"),
        14: re.compile(f"{_DINERS}|{_MAESTRO}"),
        15: re.compile(f"34|37|1800|2131|{_MAESTRO}"),
        16: re.compile(f"2[2-7]|35|{_DINERS}|4|5|6"),
        17: re.compile(f"{_DINERS}|{_MAESTRO}"),
        18: re.compile(f"{_DINERS}|{_MAESTRO}"),
        19: re.compile(f"{_DINERS}|4|{_MAESTRO}"),
    }
)
"""Length to the beginnings of the numbers that issuers give out (ISO/IEC 7812)."""

_MIN_LENGTH = 12
_BEHIND = 2


def find_cards(text: str, runs: Sequence[Span]) -> list[Span]:
    """Return the card numbers in `text`, whose digits stand in `runs`."""
    found = []
    for start, stop in runs:
        if stop - start >= _MIN_LENGTH:
            for match in _CARD.finditer(text, start, min(len(text), stop + _BEHIND)):
                end = _card_end(match[0])
                if end:
                    found.append((match.start(), match.start() + end))
    return found


def _card_end(written: str) -> int:
    """Return the end of a card's number: at the last group, or before it if that group is its code; 0 without a
    number.
    """
    if _is_card("".join(filter(str.isdigit, written))):
        return len(written)
    last = _LAST_GROUP.search(written)
    return last.start() if last and _is_card("".join(filter(str.isdigit, written[: last.start()]))) else 0


def _is_card(digits: str) -> bool:
    ranges = _ISSUERS.get(len(digits))
    return ranges is not None and ranges.match(digits) is not None and _passes_luhn(digits)


def _passes_luhn(digits: str) -> bool:
    """Return whether Luhn's sum holds: from the right every second digit doubled, its digits added; the total divides
    by ten.
    """
    values = list(map(int, digits))
    doubled = (sum(divmod(2 * value, 10)) for value in values[-2::-2])
    return (sum(values[-1::-2]) + sum(doubled)) % 10 == 0
