"""How-to pages: materials, steps in order, and remedies for mistakes."""

from __future__ import annotations

from pipelines.demo_crawl.body import Block, Body, paragraphs
from pipelines.demo_crawl.clauses import CLAUSES
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.entities import World
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON

_RULES = {
    "task_repair": (
        "mend a {object}",
        "repair an old {object}",
        "clean a {object}",
        "paint a {object}",
        "store a {object} over the winter",
    ),
    "task_make": (
        "build a {object}",
        "make a {object} out of {material}",
        "carve a small {object}",
        "decorate a {object}",
    ),
    "task_cook": (
        "cook {dish} for a {event}",
        "bake {dish}",
        "pickle {dish}",
        "serve {dish} with {food+s}",
        "make {dish} as they do in {town}",
    ),
    "task_grow": (
        "grow {plant+s} in a {vessel}",
        "plant {plant+s} beside a {building}",
        "dry {plant+s} for the {season}",
    ),
    "title": (
        "How to {task}",
        "How to {task} in {steps} steps",
        "{task+cap}: a guide",
        "A {character} {role}'s guide: how to {task}",
    ),
    "intro": (
        "Anyone can {task} with a {aid}, some {material} and a little {virtue}.",
        "This page explains how to {task}, as {people} in {town} have done for generations.",
        "To {task} takes an afternoon, and the work is [easier|harder|slower] when the {weather} comes.",
        "My {role} taught me to {task} when I was {small_number} years old, and I still do it the same way.",
        "Before you {task}, read the whole page and {handle} everything you need.",
    ),
    "need": (
        "You need a {aid}, a {quality} {tool}, {small_number} {vessel+s} and enough {material}.",
        "You will need {small_number} pieces of {material}, a {aid} and a {state} {vessel}.",
        "Have a {aid}, a {tool} and some {stuff} ready, and keep a {vessel} at hand.",
    ),
    "why": (
        "because {material} is {state}",
        "so that the {part} stays {state}",
        "since {people} often forget it",
        "because a {state} {part} will not hold",
        "so that nothing can {grow}",
        "or the {stuff} will {grow}",
        "while the {stuff} is still {state}",
    ),
    "step": (
        "{handle+cap} the {part} with the {aid}, {why}.",
        "{manner+ly} {handle} the {material} and put it into a {state} {vessel}.",
        "Wait {small_number} [minutes|hours] until the {stuff} begins to {grow}.",
        "Take the {tool} in one hand and {handle} the {part} with the other, {why}.",
        "{handle+cap} everything {manner+ly}, then {handle} it again with a {state} {tool}.",
        "Mix {small_number} spoons of {stuff} with the {stuff}, {why}.",
        "Cut the {material} into {small_number} {quality} pieces and {handle} each of them.",
        "Turn the {part} to the {direction} and {handle} it with a {wear}.",
        "Let it rest {beside} for {small_number} hours, {why}.",
        "Rub the {part} with {stuff} until it looks {state} and {colour}.",
        "Ask someone to hold the {vessel} while you {handle} the {part}.",
    ),
    "advice": (
        "If the {part} is too {state}, {handle} it again with a {aid}, {why}.",
        "Many {role+s} use too much {stuff}, and then the {part} begins to {grow}.",
        "A {character} {role} in {town} told me that {craft_clause}, and the same holds here.",
        "Never {handle} the {material} near a {furniture}, {why}.",
        "If you have no {aid}, a {tool} will do, but {handle} it {manner+ly}.",
        "The work is done when the {part} is {state} and the {material} no longer {grow+es}.",
        "In {season} it takes twice as long, {why}.",
        "Keep the rest of the {stuff} in a {state} {vessel} {beside}.",
        "With some {virtue} you can {task} in less than {small_number} hours.",
    ),
}
_SLOTS = ("object", "material", "dish", "aid", "town", "task", "steps")
_GRAMMAR = Grammar({**LEXICON, **CLAUSES, **_RULES}, slots=_SLOTS)


def how_to(world: World, dice: Dice) -> Body:
    """Return a guide of 150 to 350 words; its steps are a list or paragraphs."""
    count = dice.between(5, 8)
    slots = {
        "object": dice.pick(LEXICON["furniture"] + LEXICON["instrument"] + LEXICON["vehicle"] + LEXICON["vessel"]),
        "material": dice.pick(LEXICON["stuff"]),
        "dish": dice.pick(LEXICON["food"]) + " soup",
        "aid": dice.pick(LEXICON["tool"]),
        "town": world.any("town", dice)["name"],
        "steps": LEXICON["small_number"][count - 2],
    }
    slots["task"] = _GRAMMAR.expand(dice.pick(("task_repair", "task_make", "task_cook", "task_grow")), dice, slots)

    def say(rule: str) -> str:
        return _GRAMMAR.sentence(rule, dice, dict(slots))

    steps = tuple(_GRAMMAR.deal("step", count, dice, slots))
    advice = " ".join(_GRAMMAR.deal("advice", dice.between(3, 6), dice, slots))
    opening = " ".join((*_GRAMMAR.deal("intro", 2, dice, slots), say("need")))
    blocks = [Block("p", (opening,))]
    if dice.chance(0.6):
        blocks += [Block("h2", (dice.pick(("The steps", "What to do", "Step by step")),)), Block("ul", steps)]
    else:
        middle = len(steps) // 2
        blocks += paragraphs(" ".join(steps[:middle]), " ".join(steps[middle:]))
    blocks.append(Block("p", (advice,)))
    return Body(say("title"), tuple(blocks))
