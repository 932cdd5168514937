"""The charset declared in a page's first bytes: the prescan of the HTML standard (section 13.2.3.2).

Comments and attributes of other elements hold no declaration, and a `content` counts only beside
`http-equiv=content-type`: a description with the word "charset" does not count. An XML declaration counts where no
`<meta>` does. Browsers look at 1,024 bytes; here it is 4,096, since real heads are longer.
"""

from __future__ import annotations

import re

from pipelines.extract.web_codecs import codec_of_label

_WINDOW_BYTES = 4096

_COMMENT_END = re.compile(rb"-->")
_NAME = rb"[^\s/>][^\s/>=]*+"
_VALUE = rb"\"[^\"]*+\"|'[^']*+'|[^\s>\"'][^\s>]*+"
_ATTRIBUTE = re.compile(rb"[\s/]*+(%b)(?:\s*+=\s*+(%b))?+" % (_NAME, _VALUE))
_ATTRIBUTES = rb"(?:[\s/]*+%b(?:\s*+=\s*+(?:%b))?+)*+" % (_NAME, _VALUE)
_NEXT = re.compile(rb"<(?:!--|(?P<meta>meta[\s/])|(?P<tag>/?[a-z][^\s>]*+%b)|[!/?])" % _ATTRIBUTES, re.IGNORECASE)
_CHARSET_IN_CONTENT = re.compile(rb"charset\s*+=\s*+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s;\"']++))", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"<\?xml[^>]{0,200}?\sencoding\s*=\s*[\"']([A-Za-z0-9_.:\-]{2,40})[\"']")


def declared_charset(page: bytes) -> str | None:
    """Return the first charset label in the page's head that names an encoding of the web; None without one."""
    window = page[:_WINDOW_BYTES]
    if b"charset" not in window.lower() and not window.startswith(b"<?xml"):
        return None
    position = 0
    while found := _NEXT.search(window, position):
        if found["meta"]:
            attributes, position = _attributes(window, found.end() - 1)
            label = _label_of(attributes)
            if codec_of_label(label) is not None:
                return label
        elif found["tag"]:
            position = found.end()
        elif found[0] == b"<!--":
            end = _COMMENT_END.search(window, found.start() + 2)  # "<!-->" is a whole comment
            position = end.end() if end else len(window)
        else:
            position = window.find(b">", found.end()) + 1 or len(window)
    return _label_of_xml(window)


def _attributes(window: bytes, position: int) -> tuple[dict[bytes, bytes], int]:
    """Return the attributes of a tag from `position` on, the first of each name, and where they end."""
    attributes: dict[bytes, bytes] = {}
    while found := _ATTRIBUTE.match(window, position):
        name, value = found.groups(b"")
        attributes.setdefault(name.lower(), value[1:-1] if value.startswith((b'"', b"'")) else value)
        position = found.end()
    return attributes, position


def _label_of(attributes: dict[bytes, bytes]) -> str | None:
    """Return the label that a `<meta>` declares: by `charset`, or by `content` in place of the header."""
    if b"charset" in attributes:
        return _text(attributes[b"charset"])
    if attributes.get(b"http-equiv", b"").strip().lower() != b"content-type":
        return None
    named = _CHARSET_IN_CONTENT.search(attributes.get(b"content", b""))
    return _text(next(filter(None, named.groups()), b"")) if named else None


def _label_of_xml(window: bytes) -> str | None:
    named = _XML_ENCODING.match(window.removeprefix(b"\xef\xbb\xbf").lstrip())
    return _text(named[1]) if named and codec_of_label(_text(named[1])) else None


def _text(label: bytes) -> str:
    return label.strip().decode("ascii", "replace")
