"""Content-Type headers: the type and the charset of a list of values.

The rules are those of the Fetch Standard ("extract a MIME type") and the MIME Sniffing Standard (section 4.4): of
several values the last valid one counts, `*/*` counts for nothing, and a charset holds on where the same type follows
without one. Beyond them, a value that only lacks its semicolon (`text/html charset=utf-8`) is read as if it had one.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z\-]"
_ESSENCE = re.compile(rf"\s*+({_TOKEN}++/{_TOKEN}++)(?=[\s;]|$)")
_VALUES = re.compile(r'(?:[^,"]++|"(?:[^"\\]|\\.)*+"?)++', re.DOTALL)
_PARAMETER = re.compile(
    r"[;\s]++([^;=\s]++)\s*+(?:=\s*+(?:\"((?:[^\"\\]|\\.)*+)\"?+|'([^';]*+)'?+|([^\s;\"']*+)))?+", re.DOTALL
)
_REMEMBERED_CHARACTERS = 256
"""A head may be as long as its record: longer headers than this are not kept in memory."""


@dataclass(frozen=True, slots=True)
class ContentType:
    """The type in lower case without parameters, empty where no value is valid; the charset's label, if any."""

    essence: str = ""
    charset: str | None = None


def parse_content_type(header: str | None) -> ContentType:
    """Return the type and charset of the values of a Content-Type header, joined by commas."""
    header = header or ""
    return _remembered(header) if len(header) <= _REMEMBERED_CHARACTERS else _parsed(header)


def _parsed(header: str) -> ContentType:
    essence, charset = "", None
    for value in _VALUES.findall(header):
        found = _ESSENCE.match(value)
        if found is None or found[1] == "*/*":
            continue
        named = _charset_of(value[found.end() :])
        if found[1].lower() != essence:
            essence, charset = found[1].lower(), named
        else:
            charset = named or charset
    return ContentType(essence, charset)


_remembered = functools.lru_cache(1024)(_parsed)  # few differ, and each record's is read several times


def _charset_of(parameters: str) -> str | None:
    for name, *values in _PARAMETER.findall(parameters):
        label = "".join(values).strip()
        if name.lower() == "charset" and label:
            return label
    return None
