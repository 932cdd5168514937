"""Encyclopaedic articles: facts of one entity in varied phrasing, between sentences about the life around it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipelines.demo_crawl.body import Block, Body
from pipelines.demo_crawl.clauses import CLAUSES
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.entities import Entity, World
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON, phrases
from pipelines.demo_crawl.worlds.facts import FACTS

_SHARED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "says": (
            "according to the {quality} {text} of {role+s}",
            "as every {role} knows",
            "as {role+s} say",
            "by the account of {people}",
            "as far as anyone can tell",
            "if the {state} {text+s} are right",
            "according to {people}",
            "as a {state} {text} in the {building} shows",
        ),
        "opener": ("", "", "{says}, ", "today ", "since the {event}, ", "for {small_number} generations, ", "{when}, "),
        "tail": (
            "",
            "",
            "",
            ", {says}",
            ", and {craft_clause}",
            ", which is why {craft_clause}",
            ", where {craft_clause}",
            ", while {craft_clause}",
            ", although {people} {think} otherwise",
            "; {craft_clause}",
            " {when}, {says}",
        ),
        "life": (
            "{custom}.",
            "{custom}.",
            "{custom}.",
            "{custom}.",
            "{opener}{craft_clause}{tail}.",
            "{opener}{craft_clause}{tail}.",
            "visitors often remark on the {quality} {thing+s}, and {people} show them {when}.",
            "the {quality} {building} {beside} is kept by a {character} {role} who {handle+es} {things_phrase} {when}.",
            "{people} remember the {event} of {year_word}, when {people} {handle+ed} each {thing} and {move+ed} on.",
            "once a {character} {role} {handle+ed} a {thing_phrase} and {think+ed} that {virtue} had no price.",
            "{idea+s} about the {thing} are {study+ed} by {people}, who {think} that the {state} {text} explains them.",
        ),
        "year_word": ("that {season}", "the {quality} year", "the {rank} {season}", "a {state} {season}"),
    }
)

_HEADINGS = phrases("""
    History / Description / Daily life / Legacy / Trade and work / Customs / Sources and stories / The present day
    / Early years
""")


def _grammar(kind: str) -> Grammar:
    names = {key for templates in FACTS[kind].values() for text in templates for key in _slot_names(text)}
    rules = {**LEXICON, **CLAUSES, **_SHARED, **{f"fact_{fact}": texts for fact, texts in FACTS[kind].items()}}
    return Grammar(rules, slots=sorted(names - rules.keys()))


def _slot_names(template: str) -> list[str]:
    return [part.split("}")[0].split("+")[0].split("=")[-1] for part in template.split("{")[1:]]


_GRAMMARS: Mapping[str, Grammar] = MappingProxyType({kind: _grammar(kind) for kind in FACTS})
_KINDS = phrases("""
    town / town / person / person / river / animal / invention / plant
""")


def article(world: World, dice: Dice) -> Body:
    """Return an article on an entity of the world, 150 to 400 words."""
    kind = dice.pick(_KINDS)
    entity = world.any(kind, dice)
    facts = [fact for fact in FACTS[kind] if fact != "lead"]
    told = dice.sample(facts, dice.between(4, len(facts)))
    groups = [["lead", *told[: len(told) // 2]], told[len(told) // 2 :], []]
    blocks: list[Block] = []
    headings = dice.sample(_HEADINGS, len(groups)) if dice.chance(0.5) else [""] * len(groups)
    for number, (group, heading) in enumerate(zip(groups, headings, strict=True)):
        if heading and number:
            blocks.append(Block("h2", (heading,)))
        blocks.append(Block("p", (_paragraph(_GRAMMARS[kind], group, entity, dice),)))
    if dice.chance(0.2):
        blocks.append(Block("quote", (_GRAMMARS[kind].sentence("life", dice, dict(entity)),)))
    return Body(_title(kind, entity, dice), tuple(blocks))


def _paragraph(grammar: Grammar, facts: list[str], entity: Entity, dice: Dice) -> str:
    """Return each fact in a sentence, and one or two sentences of life around here and there."""
    told = []
    for fact in facts:
        told.append(grammar.sentence(f"fact_{fact}", dice, dict(entity)))
        if dice.chance(0.35):
            told.append(grammar.sentence("life", dice, dict(entity)))
    while len(told) < 4:
        told.append(grammar.sentence("life", dice, dict(entity)))
    return " ".join(told)


def _title(kind: str, entity: Entity, dice: Dice) -> str:
    name = entity["name"]
    if kind == "person":
        return dice.pick((name, f"{name}, {entity['profession']}", f"The life of {name}"))
    if kind == "town":
        return dice.pick((name, f"{name}, {entity['region']}", f"The town of {name}"))
    return dice.pick((f"The {name}", f"The {name}", f"About the {name}"))
