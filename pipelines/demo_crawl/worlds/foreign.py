"""Pages in German, French, Spanish and Italian: simple, correct sentences about towns, seasons, work and families.

Noun phrases are kept whole, with their article and in the case that their place in the sentence asks for, so that no
rule of agreement can be broken.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from pipelines.demo_crawl.body import Body, paragraphs
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.entities import World
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.worlds import french, german, italian, spanish

LANGUAGES = ("de", "fr", "es", "it")

_SLOTS = ("town", "river", "person", "friend")
_GRAMMARS: Mapping[str, Grammar] = MappingProxyType(
    {
        "de": Grammar(german.RULES, _SLOTS),
        "fr": Grammar(french.RULES, _SLOTS),
        "es": Grammar(spanish.RULES, _SLOTS),
        "it": Grammar(italian.RULES, _SLOTS),
    }
)


_ELISION = re.compile(r"\bde (?=[AEIOUÉ])")


def foreign(language: str, world: World, dice: Dice) -> Body:
    """Return a page of 120 to 350 words in one of `LANGUAGES`."""
    grammar = _GRAMMARS[language]
    town, (person, friend) = world.any("town", dice), dice.sample(world.given_names, 2)
    slots = {"town": town["name"], "river": town["river"], "person": person, "friend": friend}
    texts = []
    for _ in range(dice.between(3, 5)):
        texts.append(
            " ".join(
                _capital(grammar.expand("sentence", dice, dict(slots)), language) for _ in range(dice.between(4, 6))
            )
        )
    return Body(_capital(grammar.expand("title", dice, dict(slots)), language), paragraphs(*texts), language=language)


def _capital(text: str, language: str) -> str:
    """Return the first letter as a capital, behind an opening mark if there is one; before a name with a vowel, French
    elides.
    """
    text = _ELISION.sub("d'", text) if language == "fr" else text
    start = 1 if text[0] in "¿¡«" else 0
    return text[:start] + text[start].upper() + text[start + 1 :]
