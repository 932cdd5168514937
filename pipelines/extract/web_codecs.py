"""The charsets of the web, by the tables of the WHATWG Encoding Standard where Python's codecs of the same name differ.

The web's `shift_jis` is Windows-31J, its `euc-kr` is Windows-949, its `big5` holds the Hong Kong characters, its
`gb2312` and `gbk` are GB 18030, and its `iso-8859-1` is windows-1252. Bytes that a Windows table leaves undefined below
0xA0 are control characters there, so a stray one does not make a page undecodable.

Beyond the standard: `hz-gb-2312` and `iso-2022-kr`, which browsers refuse for their users' safety, are decoded.

Not covered: the 68 characters that HKSCS-2008 added to Big5, and JIS X 0212's extensions by IBM.

Source: https://encoding.spec.whatwg.org/, sections 4.2, 5 and 9 to 14.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from resiliparse.parse.encoding import map_encoding_to_html5

REPLACEMENT = "\ufffd"

_CODECS: Mapping[str, str] = MappingProxyType(
    {
        "shift_jis": "cp932",
        "euc_kr": "cp949",
        "big5": "big5hkscs",
        "gbk": "gb18030",
        "iso8859-11": "cp874",
    }
)
"""Python's codec of the web's name to the one that has the web's table."""

_MORE_LABELS: Mapping[str, str] = MappingProxyType(
    {
        "x-mac-cyrillic": "mac-cyrillic",
        "x-mac-ukrainian": "mac-cyrillic",
        "x-user-defined": "cp1252",  # as the HTML standard has it in a meta element
        "hz-gb-2312": "hz",
        "iso-2022-kr": "iso2022_kr",
        "csiso2022kr": "iso2022_kr",
    }
)
_SINGLE_BYTE = ("cp125", "cp866", "cp874", "iso8859", "koi8", "mac")

_BIG5_MORE = {b"\xa3\xe1": "€", b"\xc6\xcf": "に", b"\xc6\xd3": "は", b"\xc6\xd5": "ぱ", b"\xc6\xd7": "び"}
_BIG5_MORE |= {b"\xc6\xde": "ぺ", b"\xc6\xdf": "ほ"}

_EUC_JP_AS_WINDOWS = str.maketrans("〜‖−¢£¬", "～∥－￠￡￢")
_KOI8_U_OF_THE_WEB = str.maketrans("╝╬", "ўЎ")
# Characters of GB 18030 that had no code point of their own before 2005, and those that had none before 2022.
_GB18030_PRIVATE = "\ue7c7\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue81e\ue826\ue82b\ue82c\ue832"
_GB18030_PUBLIC = "\u1e3f\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19\u9fb4\u9fb5\u9fb6\u9fb7\u9fb8"
_GB18030_OF_THE_WEB = str.maketrans(_GB18030_PRIVATE + "\ue843\ue854\ue864", _GB18030_PUBLIC + "\u9fb9\u9fba\u9fbb")

_ESCAPE = re.compile(rb"(\x1b\([BIJ]|\x1b\$[@B]|\x1b\$\(D)")
_TO_HIGH_HALF = bytes(byte | 0x80 if 0x20 < byte < 0x7F else byte for byte in range(256))


def codec_of_label(label: str | None) -> str | None:
    """Return the codec for a charset label of the web; None for a label that the web does not have."""
    if not label:
        return None
    bare = label.strip().lower()
    codec: str | None = _MORE_LABELS.get(bare) or map_encoding_to_html5(bare, fallback_utf8=False)
    return _CODECS.get(codec, codec) if codec else None


def is_single_byte(codec: str) -> bool:
    """Return whether every byte is a character in this codec, so that it decodes nearly anything."""
    return codec.startswith(_SINGLE_BYTE)


def decode(page: bytes, codec: str) -> str | None:
    """Return the text of `page`; None where its bytes are not in this charset."""
    try:
        return _decoder(codec)(page, "web_strict")
    except (UnicodeError, LookupError):
        return None


def decode_damaged(page: bytes, codec: str) -> str:
    """Return the text of `page` with U+FFFD for what is not in this charset."""
    return _decoder(codec)(page, "web_replace")


def _decoder(codec: str) -> Callable[[bytes, str], str]:
    return _DECODERS.get(codec) or (lambda page, errors: page.decode(codec, errors))


def _euc_jp(page: bytes, errors: str) -> str:
    return page.decode("euc_jp", errors).translate(_EUC_JP_AS_WINDOWS)


def _iso_2022_jp(page: bytes, errors: str) -> str:
    """Return each stretch between escape sequences, moved to where EUC-JP or Windows-31J has the same characters."""
    ascii_text, *parts = _ESCAPE.split(page)
    pieces = [ascii_text.decode("ascii", errors)]
    for escape, stretch in zip(parts[::2], parts[1::2], strict=True):
        if escape == b"\x1b(I":
            pieces.append(stretch.translate(_TO_HIGH_HALF).decode("cp932", errors))
        elif escape == b"\x1b$(D":
            pieces.append(_euc_jp(re.sub(rb"[!-~]{2}", rb"\x8f\g<0>", stretch).translate(_TO_HIGH_HALF), errors))
        elif escape in (b"\x1b$@", b"\x1b$B"):
            pieces.append(_euc_jp(stretch.translate(_TO_HIGH_HALF), errors))
        else:
            pieces.append(stretch.decode("ascii", errors))
    return "".join(pieces)


_DECODERS: Mapping[str, Callable[[bytes, str], str]] = MappingProxyType(
    {
        "euc_jp": _euc_jp,
        "iso2022_jp": _iso_2022_jp,
        "koi8-u": lambda page, errors: page.decode("koi8-u", errors).translate(_KOI8_U_OF_THE_WEB),
        "gb18030": lambda page, errors: page.decode("gb18030", errors).translate(_GB18030_OF_THE_WEB),
    }
)


def _web_character(error: UnicodeDecodeError) -> tuple[str, int] | None:
    """Return the character that the web's table has where Python's has none, and where it ends."""
    data, start = error.object, error.start
    byte, pair = data[start], data[start : start + 2]
    if error.encoding == "charmap":
        return (chr(byte), start + 1) if byte < 0xA0 else None
    if error.encoding == "gb18030":
        return ("€", start + 1) if byte == 0x80 else None
    if error.encoding == "big5hkscs":
        return (_BIG5_MORE[pair], start + 2) if pair in _BIG5_MORE else None
    if error.encoding == "euc_jp" and len(pair) == 2 and min(pair) >= 0xA1:
        text = _windows_31j(pair[0] - 0xA0, pair[1] - 0xA0)
        return (text, start + 2) if text else None
    return None


def _windows_31j(row: int, cell: int) -> str | None:
    """Return the character of a row and cell, counted from 1: JIS X 0208 with NEC's and IBM's rows."""
    lead = (row - 1) // 2 + (0x81 if row <= 62 else 0xC1)
    trail = cell + 0x9E if row % 2 == 0 else cell + (0x3F if cell < 64 else 0x40)
    return bytes([lead, trail]).decode("cp932", "ignore") or None


def _strict(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError) or (found := _web_character(error)) is None:
        raise error
    return found


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return _web_character(error) or (REPLACEMENT, error.end)


codecs.register_error("web_strict", _strict)
codecs.register_error("web_replace", _replace)
