"""Countries whose phone numbers a page is likely to hold in national form: by its language and its domain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

ENGLISH = ("US", "GB", "CA", "AU", "IE", "NZ", "ZA", "IN")
"""The countries of a page without country signs."""

_BY_LANGUAGE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "en": ENGLISH,
        "de": ("DE", "AT", "CH"),
        "fr": ("FR", "BE", "CH", "CA"),
        "es": ("ES", "MX", "AR", "CO", "CL", "PE"),
        "pt": ("BR", "PT"),
        "it": ("IT", "CH"),
        "nl": ("NL", "BE"),
        "ca": ("ES",),
        "sv": ("SE", "FI"),
        "da": ("DK",),
        "no": ("NO",),
        "nn": ("NO",),
        "fi": ("FI",),
        "et": ("EE",),
        "lv": ("LV",),
        "lt": ("LT",),
        "pl": ("PL",),
        "cs": ("CZ",),
        "sk": ("SK",),
        "hu": ("HU",),
        "sl": ("SI",),
        "hr": ("HR",),
        "sr": ("RS",),
        "bg": ("BG",),
        "ro": ("RO",),
        "el": ("GR", "CY"),
        "tr": ("TR",),
        "ru": ("RU", "KZ", "BY"),
        "uk": ("UA",),
        "he": ("IL",),
        "ar": ("SA", "EG", "AE"),
        "fa": ("IR",),
        "hi": ("IN",),
        "id": ("ID",),
        "ms": ("MY", "SG"),
        "th": ("TH",),
        "vi": ("VN",),
        "ja": ("JP",),
        "ko": ("KR",),
        "zh": ("CN", "TW", "HK"),
    }
)
_HOST = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,20}://(?:[^/?#@]{0,255}@)?([^/?#:@]{1,255})")
_NOT_COUNTRIES = frozenset({"io", "co", "tv", "me", "ai", "cc", "ly", "fm", "eu", "ws", "to", "gg", "sh", "st", "nu"})
"""Top-level domains of countries that are sold to everyone; `.eu` is none."""


def phone_regions(language: str | None = None, url: str | None = None) -> tuple[str, ...]:
    """Return ISO 3166 codes, the likeliest first: the country of the page's domain, then those that speak its
    language.
    """
    found = _BY_LANGUAGE.get(language or "en", ENGLISH)
    host = _HOST.match(url or "")
    top = host[1].rpartition(".")[2].lower() if host else ""
    if len(top) != 2 or not top.isalpha() or top in _NOT_COUNTRIES:
        return found
    country = "GB" if top == "uk" else top.upper()
    return (country, *(region for region in found if region != country))
