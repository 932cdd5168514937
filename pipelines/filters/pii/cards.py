"""Payment cards: 12 to 19 digits of an issuer's range, with Luhn's sum right.

Twelve digits are a card in Maestro's ranges only, and thirteen in Visa's and Maestro's, as many numbers of goods are
so long. Groups are parted by one kind of sign: spaces or dashes as typed or typeset, or dots.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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
_MAESTRO = re.compile(r"0604|50[0-9]{2}|5[6-8][0-9]{2}|6[0-9]{3}")
_VISA = "4"
_MIN_LENGTH = 12
_BEHIND = 2


def find_cards(text: str, runs: Sequence[Span]) -> list[Span]:
    """The card numbers in `text`, whose digits stand in `runs`."""
    found = []
    for start, stop in runs:
        if stop - start >= _MIN_LENGTH:
            for match in _CARD.finditer(text, start, min(len(text), stop + _BEHIND)):
                end = _card_end(match[0])
                if end:
                    found.append((match.start(), match.start() + end))
    return found


def _card_end(written: str) -> int:
    """Where a card's number ends: at the last group, or before it where that is its code; 0 where there is none."""
    if _is_card("".join(filter(str.isdigit, written))):
        return len(written)
    last = _LAST_GROUP.search(written)
    return last.start() if last and _is_card("".join(filter(str.isdigit, written[: last.start()]))) else 0


def _is_card(digits: str) -> bool:
    is_maestro = _MAESTRO.match(digits) is not None
    if len(digits) < _MIN_LENGTH or (len(digits) == 12 and not is_maestro):
        return False
    if len(digits) == 13 and not (is_maestro or digits.startswith(_VISA)):
        return False
    return _passes_luhn(digits)


def _passes_luhn(digits: str) -> bool:
    """Luhn's sum: from the right every second digit doubled, its digits added; the total divides by ten."""
    values = list(map(int, digits))
    doubled = (sum(divmod(2 * value, 10)) for value in values[-2::-2])
    return (sum(values[-1::-2]) + sum(doubled)) % 10 == 0
