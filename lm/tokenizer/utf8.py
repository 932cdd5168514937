"""Text to UTF-8, with an error that names the character that is not Unicode."""

from __future__ import annotations

from lm.errors import InputError


def utf8(text: str) -> bytes:
    """Return the UTF-8 bytes of `text`.

    Raises:
        InputError: the text holds a lone surrogate.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        code_point = ord(text[error.start])
        raise InputError(
            f"text holds the lone surrogate U+{code_point:04X} at character {error.start}, which is not Unicode"
        ) from None
