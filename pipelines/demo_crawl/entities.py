"""The invented country that articles and stories share: towns, rivers, people, animals, inventions and plants, with
attributes that never change.

An entity is a mapping of attribute to text, ready to be the slots of a grammar. Attributes of one entity name others,
so what a page says of a river agrees with what another says of the town on its bank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TypeAlias

from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.lexicon import ADJECTIVES, LEXICON, NOUNS, words
from pipelines.demo_crawl.morphology import adverb, gerund, past, plural
from pipelines.demo_crawl.names import invent_many

Entity: TypeAlias = Mapping[str, str]

NUM_ENTITIES: Mapping[str, int] = MappingProxyType(
    {"region": 9, "river": 32, "town": 64, "person": 120, "animal": 48, "invention": 48, "plant": 36}
)

_SOURCES = words("hills springs marshes cliffs moors")
_SAUCES = words("mustard honey pepper cream")
_MACHINES = words("engine press mill lamp clock pump wheel loom lens stove")
_HANDMADE = (*NOUNS["furniture"], *NOUNS["instrument"], *NOUNS["wear"])


@dataclass(frozen=True)
class World:
    """Every entity by kind, and the given and family names that stories draw from."""

    entities: Mapping[str, tuple[Entity, ...]]
    given_names: tuple[str, ...]
    surnames: tuple[str, ...]

    def any(self, kind: str, dice: Dice) -> Entity:
        """Return an entity of a kind; entities early in the list are more frequent."""
        known = self.entities[kind]
        return known[int(dice.random() * dice.random() * len(known))]


@lru_cache(maxsize=4)
def world_of(seed: int) -> World:
    """Return the world of a seed."""
    dice = Dice(seed, "world")
    regions = tuple({"name": name} for name in invent_many("region", NUM_ENTITIES["region"], dice))
    names = invent_many("river", NUM_ENTITIES["river"], dice)
    rivers = tuple(_river(name, names, regions, dice) for name in names)
    given, surnames = invent_many("given", 420, dice), invent_many("surname", 380, dice)
    towns = tuple(
        _town(name, rivers, given, surnames, dice) for name in invent_many("town", NUM_ENTITIES["town"], dice)
    )
    people = tuple(_person(towns, given, surnames, dice) for _ in range(NUM_ENTITIES["person"]))
    entities = {
        "region": regions,
        "river": rivers,
        "town": towns,
        "person": people,
        "animal": _creatures("animal", rivers, dice),
        "plant": _creatures("plant", rivers, dice),
        "invention": tuple(_invention(people, dice) for _ in range(NUM_ENTITIES["invention"])),
    }
    return World(MappingProxyType(entities), given, surnames)


def _river(name: str, names: tuple[str, ...], regions: tuple[Entity, ...], dice: Dice) -> Entity:
    return {
        "name": name,
        "region": dice.pick(regions)["name"],
        "length": str(dice.between(18, 420)),
        "source": f"the {dice.pick(ADJECTIVES['colour'])} {dice.pick(_SOURCES)}",
        "mouth": dice.pick(
            ("the sea", "the long bay", "a salt marsh", f"the {dice.pick([n for n in names if n != name])}")
        ),
        "fish": dice.pick(("trout", "pike", "eels", "salmon", "perch", "carp", "otters", "herons")),
        "cargo": dice.pick(NOUNS["stuff"]),
        "water": dice.pick(("brown", "green", "clear", "grey", "cold", "slow", "swift", "shallow")),
        "bridges": dice.pick(LEXICON["small_number"]),
        "flood": str(dice.between(1604, 1933)),
    }


def _town(
    name: str, rivers: tuple[Entity, ...], given: tuple[str, ...], surnames: tuple[str, ...], dice: Dice
) -> Entity:
    river = dice.pick(rivers)
    return {
        "name": name,
        "river": river["name"],
        "region": river["region"],
        "founded": str(dice.between(1105, 1790)),
        "founder": f"{dice.pick(given)} {dice.pick(surnames)}",
        "population": f"{dice.between(9, 610) * 100:,}",
        "trade": dice.pick(NOUNS["stuff"]),
        "product": plural(dice.pick((*NOUNS["tool"], *NOUNS["wear"], *NOUNS["instrument"], *NOUNS["vessel"]))),
        "landmark": f"{dice.pick(ADJECTIVES['colour'])} {dice.pick(NOUNS['building'])}",
        "festival": f"Festival of {dice.pick((*NOUNS['plant'], *NOUNS['food'], *NOUNS['weather'])).title()}",
        "prime": dice.pick(LEXICON["season"]),
        "dish": f"{dice.pick(NOUNS['food'])} with {dice.pick(NOUNS['food'])} and {dice.pick(_SAUCES)}",
        "stone": dice.pick(("granite", "slate", "red brick", "limestone", "oak", "yellow sandstone")),
        "bearing": dice.pick(LEXICON["direction"]),
        "neighbour": "the county town",
        "distance": dice.pick((*LEXICON["small_number"], *LEXICON["round_number"])),
    }


def _person(towns: tuple[Entity, ...], given: tuple[str, ...], surnames: tuple[str, ...], dice: Dice) -> Entity:
    born, (they, their, them) = dice.between(1540, 1910), dice.pick((("she", "her", "her"), ("he", "his", "him")))
    surname = dice.pick(surnames)
    return {
        "name": f"{dice.pick(given)} {surname}",
        "surname": surname,
        "they": they,
        "their": their,
        "them": them,
        "born": str(born),
        "died": str(born + dice.between(38, 91)),
        "town": dice.pick(towns)["name"],
        "school": dice.pick(towns)["name"],
        "profession": dice.pick(NOUNS["role"]),
        "parent": dice.pick(NOUNS["role"]),
        "subject": plural(dice.pick((*NOUNS["animal"], *NOUNS["plant"], *NOUNS["instrument"], *NOUNS["land"]))),
        "work": f"The {dice.pick(ADJECTIVES['state']).title()} {dice.pick(NOUNS['land']).title()}",
        "trait": dice.pick(ADJECTIVES["character"]),
        "hobby": f"{gerund(dice.pick(LEXICON['make']))} {plural(dice.pick(_HANDMADE))}",
    }


def _creatures(kind: str, rivers: tuple[Entity, ...], dice: Dice) -> tuple[Entity, ...]:
    """Return animals or plants of two-word names, each name once."""
    names: dict[str, None] = {}
    while len(names) < NUM_ENTITIES[kind]:
        names[f"{dice.pick(rivers)['name']} {dice.pick(ADJECTIVES['colour'])} {dice.pick(NOUNS[kind])}"] = None
    return tuple(
        {
            "name": name,
            "region": dice.pick(rivers)["region"],
            "habitat": plural(dice.pick(NOUNS["land"])),
            "extent": str(dice.between(4, 190)),
            "coat": dice.pick(ADJECTIVES["colour"]),
            "marks": dice.pick(ADJECTIVES["colour"]),
            "diet": plural(dice.pick((*NOUNS["plant"], *NOUNS["food"]))),
            "enemy": dice.pick(NOUNS["animal"]),
            "years": dice.pick((*LEXICON["small_number"], *LEXICON["round_number"])),
            "young": dice.pick(LEXICON["small_number"]),
            "prime": dice.pick(LEXICON["season"]),
            "use": dice.pick(NOUNS["stuff"]),
            "gait": adverb(dice.pick(ADJECTIVES["manner"])),
            "naturalist": f"{dice.pick(('Doctor', 'Professor', 'Captain', 'Sister'))} {dice.pick(rivers)['name']}",
            "year": str(dice.between(1650, 1920)),
        }
        for name in names
    )


def _invention(people: tuple[Entity, ...], dice: Dice) -> Entity:
    inventor = dice.pick(people)
    verb, thing = (
        dice.pick((*LEXICON["handle"], *LEXICON["cook"])),
        dice.pick((*NOUNS["food"], *NOUNS["wear"], *NOUNS["vessel"])),
    )
    return {
        "name": f"{inventor['surname']} {dice.pick(_MACHINES)}",
        "inventor": inventor["name"],
        "inventor_surname": inventor["surname"],
        "town": inventor["town"],
        "year": str(int(inventor["born"]) + dice.between(19, 37)),
        "purpose": f"{verb} {plural(thing)}",
        "purpose_past": f"{past(verb)} {plural(thing)}",
        "material": dice.pick(NOUNS["metal"]),
        "mechanism": dice.pick(NOUNS["part"]),
        "power": dice.pick(
            ("steam", "wind", "falling water", "a coiled spring", "two patient horses", "a foot pedal", "a hand crank")
        ),
        "price": dice.pick(LEXICON["round_number"]),
        "weight": str(dice.between(3, 900)),
        "rival": dice.pick(people)["name"],
    }
