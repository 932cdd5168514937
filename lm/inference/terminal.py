"""Text of a model on a terminal."""

from __future__ import annotations

import unicodedata

_UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def visible(text: str) -> str:
    """Replace what could steer a terminal: control characters, lone surrogates, line and paragraph separators."""
    return "".join(
        "\ufffd" if unicodedata.category(character) in _UNSAFE and character not in "\n\t" else character
        for character in text
    )
