"""Text of one HTTP response: the function that `pipelines.extract.records` runs in a sandboxed child.

    response bytes -> join chunks, undo encodings -> is it a page? -> charset -> main content -> text, or a rule

An answer is one line of JSON with the other fields of `PageText` in order, and the text in UTF-8 behind it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.extract.charset import decode_html, decode_text
from pipelines.extract.content_type import ContentType
from pipelines.extract.html import first_words, normalise_lines, read_main_text
from pipelines.extract.http_response import BodyError, decode_body, parse_head
from pipelines.extract.media_type import PageKind, page_kind

_REPLACEMENT = "\ufffd"
_MAX_WORDS_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class PageText:
    """The text of a response, or the rule that removes it.

    `charset` is the source of its charset, `reading` the way the main content was read (`extract.main_content`);
    `words` are the first of a page that has no main text.
    """

    text: str = ""
    charset: str = ""
    reading: str = ""
    rule: str = ""
    value: float | None = None
    threshold: float | None = None
    words: str = ""


def extractor(settings: Mapping[str, Any]) -> Callable[[bytes], bytes]:
    """Return the function for `pipelines.extract.sandbox`; settings: `max_body_bytes`, `max_replaced_share`."""
    max_body_bytes, max_replaced_share = int(settings["max_body_bytes"]), float(settings["max_replaced_share"])
    return lambda response: pack(page_text(response, max_body_bytes, max_replaced_share))


def page_text(response: bytes, max_body_bytes: int, max_replaced_share: float) -> PageText:
    """Return the text of a whole HTTP response; `max_replaced_share` is as in `judge_text`."""
    head = parse_head(response)
    if head is None:
        return PageText(rule="bad_http")
    try:
        body = decode_body(response, head, max_body_bytes)
    except BodyError as error:
        return PageText(rule=error.rule)
    declared = head.content_type
    kind = page_kind(declared.essence, body)
    if kind is None:
        return PageText(rule="content_type")
    return _body_text(body, kind, declared, max_replaced_share)


def _body_text(body: bytes, kind: PageKind, declared: ContentType, max_replaced_share: float) -> PageText:
    if kind != "html":
        page, charset = decode_text(body, declared.charset)
        return judge_text(normalise_lines(page), charset, max_replaced_share)
    page, charset = decode_html(body, declared.charset)
    text, reading = read_main_text(page, media_type=declared.essence)
    words = "" if text else first_words(page, _MAX_WORDS_CHARACTERS)
    return judge_text(text, charset, max_replaced_share, reading=reading, words=words)


def judge_text(text: str, charset: str, max_replaced_share: float, *, reading: str = "", words: str = "") -> PageText:
    """Return the text, unless there is none, or a larger share of it than `max_replaced_share` is U+FFFD."""
    if not text:
        return PageText("", charset, reading, "empty", words=words)
    share = text.count(_REPLACEMENT) / len(text)
    if share > max_replaced_share:
        return PageText("", charset, reading, "encoding", share, max_replaced_share, words)
    return PageText(text, charset, reading, words=words)


def pack(page: PageText) -> bytes:
    """Return the answer of a child."""
    head = (page.charset, page.reading, page.rule, page.value, page.threshold, page.words)
    return json.dumps(head).encode() + b"\n" + page.text.encode("utf-8")


def unpack(answer: bytes) -> PageText:
    """Return the answer of a child, read."""
    head, _, text = answer.partition(b"\n")
    return PageText(text.decode("utf-8"), *json.loads(head))
