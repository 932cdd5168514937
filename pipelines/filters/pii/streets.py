"""Street addresses in English form.

A house number, one to three names in capitals, a word for a street, and a flat: "801 Third Street, Suite 4". What may
be a year is taken for one: "2019 Capitol Hill".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipelines.filters.pii.spans import Span

_STREET = re.compile(
    r"(?<![\w.,$£€\-])(?!(?:19|20)\d\d )\d{1,5}[A-Za-z]? (?:[NSEW]\.? |(?:North|South|East|West) )?"
    r"(?:(?:[A-Z][a-z]{1,20}|\d{1,3}(?:st|nd|rd|th)) ){1,3}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Square|Terrace|Parkway|Pkwy|Highway|Hwy|Crescent"
    r"|Way|Place|Row|Walk|Hill)\b(?:\.(?=[ ,]))?(?:,? (?:Apt|Suite|Unit|Ste|Floor)\.? ?[A-Z0-9]{1,5}\b)?"
)
_NAME = re.compile(r"[A-Za-z]? [A-Z0-9]")


def find_streets(text: str, runs: Sequence[Span]) -> list[Span]:
    """Return the street addresses in `text`; the last number of one of `runs` begins each."""
    found: list[Span] = []
    for start, stop in runs:
        if _NAME.match(text, stop) is None or (found and start < found[-1][1]):
            continue
        first = stop
        while first > start and text[first - 1].isdigit():
            first -= 1
        match = _STREET.match(text, first)
        if match is not None:
            found.append(match.span())
    return found
