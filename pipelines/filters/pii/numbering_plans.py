"""Numbering plans of countries, as `phonenumbers` (Google's libphonenumber) has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

_WORLD = (
    *("US", "DE", "GB", "FR", "IT", "ES", "BR", "NL", "PL", "RU", "JP", "CN", "IN", "BE", "CH", "AT", "SE", "DK", "NO"),
    *("FI", "CZ", "HU", "PT", "GR", "TR", "AU", "MX", "AR", "KR", "TW", "IL", "ZA", "UA", "RO", "SI", "EE", "IS", "SG"),
)
"""Countries whose plans are tried where the page's own have no such number."""
_LAX = ("DE", "AT", "RU")
_MAX_LOOKUPS = 4000


class NumberingPlans:
    """The plans for one text: those of the page's own countries, and of the world.

    A lookup takes some 20 microseconds, so a text of nothing but numbers gets no more of them than `_MAX_LOOKUPS`, and
    none of its further numbers is in any plan. Real pages stay below a hundred.
    """

    def __init__(self, regions: Sequence[str]) -> None:
        self.own: tuple[str, ...] = tuple(regions)
        """ISO 3166 codes of the page's countries."""
        self._num_lookups = 0

    @property
    def strict(self) -> tuple[str, ...]:
        """The page's countries, and those whose plans leave most numbers out, as Germany's does not."""
        return (*self.own, *(region for region in _WORLD if region not in _LAX))

    def is_valid(self, written: str, regions: Sequence[str | None]) -> bool:
        """Return whether one of the plans has the number; the region None stands for a number with `+`."""
        import phonenumbers  # with its tables, so only where it is used

        return self._any(phonenumbers.is_valid_number, written, regions)

    def is_possible(self, written: str) -> bool:
        """Return whether a country has numbers of this length."""
        import phonenumbers

        return self._any(phonenumbers.is_possible_number, written, (*self.own, *_WORLD))

    def _any(self, holds: Callable[[Any], bool], written: str, regions: Sequence[str | None]) -> bool:
        import phonenumbers

        for region in regions:
            if self._num_lookups >= _MAX_LOOKUPS:
                return False
            self._num_lookups += 1
            try:
                if holds(phonenumbers.parse(written, region)):
                    return True
            except phonenumbers.NumberParseException:
                continue
        return False
