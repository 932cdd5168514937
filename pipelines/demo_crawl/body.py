"""The body of a page: the output of a perfect extractor, before a site adds HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

BlockKind = Literal["p", "h2", "ul", "quote"]


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, heading, list or quotation; only a list has more than one line."""

    kind: BlockKind
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PersonalDatum:
    """A piece of personal data in the body: `email`, `phone`, `ip` or `address`."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Body:
    """Title and blocks, with language, quality, kind of harm and personal data."""

    title: str
    blocks: tuple[Block, ...]
    language: str = "en"
    quality: Literal["high", "medium", "low"] = "high"
    harmful: tuple[str, ...] = ()
    pii: tuple[PersonalDatum, ...] = ()

    @property
    def text(self) -> str:
        """Title, then one line for each paragraph, heading and list item."""
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text."""
        yield self.title
        for block in self.blocks:
            yield from block.lines

    def with_paragraph(self, text: str, place: int, pii: tuple[PersonalDatum, ...] = ()) -> Body:
        """Return the body with one more paragraph before block `place`."""
        blocks = (*self.blocks[:place], Block("p", (text,)), *self.blocks[place:])
        return replace(self, blocks=blocks, pii=self.pii + pii)


def paragraphs(*texts: str) -> tuple[Block, ...]:
    """Return one paragraph for each text."""
    return tuple(Block("p", (text,)) for text in texts)


def sentences(paragraph: str) -> list[str]:
    """Return the sentences of a paragraph, cut after a closing mark that a space and a capital, a quote or a digit
    follow.
    """
    return _SENTENCE_END.split(paragraph)


_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!Mr\.)(?<!Dr\.) (?=[A-Z\"“0-9¿¡])|(?<=[.!?][\"”]) (?=[A-Z\"“])")
