"""Forum threads: short posts in an everyday voice, polite even where they disagree."""

from __future__ import annotations

from pipelines.demo_crawl.body import Block, Body
from pipelines.demo_crawl.clauses import CLAUSES
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.entities import World
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON

_RULES = {
    "title": (
        "{topic+cap} is too {state}?",
        "Question about my {topic}",
        "Which {topic} for a {building}?",
        "Help, my {topic} won't {grow}",
        "{topic+cap} and {stuff}, thoughts?",
    ),
    "ask": (
        "hi all, does anyone know how to {handle} a {topic} that got {state}? mine is {stuff} and I am a bit {mood}.",
        "So I bought a {quality} {topic} last {weekday} and now the {part} is {state}, what should I do??",
        "My {role} says a {topic} should never be near a {furniture}. Is that true, or just an old {idea}?",
        "first post here! I want to {handle} my {topic} before {month} but I only have a {tool}...",
    ),
    "reply": (
        "I had the same thing in {month}, turned out the {part} was {state}.",
        "lol same here, my {animal} sat on mine.",
        "just {handle} it with some {stuff}, worked for me.",
        "Sorry but I don't think that's right, {craft_clause} and they never had a problem.",
        "thanks for the tip, will try it on {weekday}!",
        "Have you asked a {role}? they usually know.",
        "Mine is {small_number} years old and still {state}.",
        "You could also {handle} the {part} first and then {handle} the rest.",
        "honestly a {tool} is not enough for that, get a {quality} one.",
        "no idea, but I'm {mood} to hear how it went.",
        "In {town} you can get a new one near the {building}, not even expensive.",
        "+1 to what {poster} wrote, the {stuff} makes it {grow}.",
        "Not sure I agree, mine began to {grow} after the {event}.",
    ),
    "handle_name": (
        "{colour}_{animal}",
        "{animal}{round_number}",
        "the_{character}_{role}",
        "{tool}fan",
        "{plant}_{small_number}",
    ),
}
_GRAMMAR = Grammar({**LEXICON, **CLAUSES, **_RULES}, slots=("topic", "town", "poster"))


def forum(world: World, dice: Dice) -> Body:
    """Return a question and three to seven answers."""
    topic = dice.pick(LEXICON["tool"] + LEXICON["vehicle"] + LEXICON["instrument"] + LEXICON["furniture"])
    posters = [_GRAMMAR.expand("handle_name", dice).replace(" ", "_") for _ in range(8)]
    slots = {"topic": topic, "town": world.any("town", dice)["name"], "poster": posters[0]}
    blocks = [Block("p", (f"{posters[0]}: {_GRAMMAR.expand('ask', dice, dict(slots))}",))]
    answers = _GRAMMAR.deal("reply", len(_RULES["reply"]), dice, slots)
    for poster in posters[1 : dice.between(4, 8)]:
        said = " ".join(answers.pop() for _ in range(dice.between(1, 2)) if answers)
        blocks.append(Block("p", (f"{poster}: {said}",)))
    return Body(_GRAMMAR.sentence("title", dice, dict(slots)), tuple(blocks), quality="medium")
