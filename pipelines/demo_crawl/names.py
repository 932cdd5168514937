"""Invented proper names from syllable models: each kind of name has its own sound."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.lexicon import words

_SYLLABLES: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "town": (
            words(
                "Vel Or Mar Tes Bran Kel Sol Dun Hal Fen Wist Cor Lin Thorn Ash Pel Gar Rav Nor El Mil Sten Tol Bar Wen"
            ),
            words("a e i o en an er el il in ar"),
            words("mora dune wick ford ton by haven stead mouth bury ley worth field gate well moor cote holm den"),
        ),
        "river": (
            words("Ta Si Lo Mu Va Ne Du Re Wy Ke Za Ri Fa Ou Ca Be"),
            words("s r l v n th m nd ll rr ss"),
            words("in ane ule a o ira ely une ey ora eth is"),
        ),
        "region": (
            words("Nar Sil Cald Ost West Brae Gorm Ull Fer Hest Amb Tir"),
            words("ia e o a"),
            words("mark land shire mere vale reach dale"),
        ),
        "given": (
            words("Al Be Ca Da El Fa Go Ha Is Jo Ka Li Ma Ne Or Pe Ro Sa Ti Ul Va Wi Ya Ze Mi To Ra Le Ed An"),
            words("r l n m d b v s t nn ll rr"),
            words("a en is o ia on ek ina ette in us or elle ew iel ra"),
        ),
        "surname": (
            words("Brad Cal Dren Fal Gren Hol Jask Lor Mal Nev Orm Pett Ras Sand Tarr Umb Vast Wath Yor Zell"),
            words("a e i o er en"),
            words("son ley man ard wick by stone well ow in ell ner gard ford win mond"),
        ),
    }
)


def invent(kind: str, dice: Dice) -> str:
    """Return one name of a kind: `town`, `river`, `region`, `given` or `surname`."""
    return "".join(dice.pick(part) for part in _SYLLABLES[kind])


def invent_many(kind: str, number: int, dice: Dice) -> tuple[str, ...]:
    """Return `number` different names of one kind."""
    names: dict[str, None] = {}
    while len(names) < number:
        names[invent(kind, dice)] = None
    return tuple(names)
