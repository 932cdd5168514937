"""Short stories: a wish, an obstacle, a helper with a tool, and the ending."""

from __future__ import annotations

from pipelines.demo_crawl.body import Block, Body
from pipelines.demo_crawl.clauses import CLAUSES
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.entities import World
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON, phrases

_PLOTS = {
    "lost": (
        "One {day}, {hero} lost the {prize} that {their} {family} had given {them}.",
        "{hero} woke up and could not find the {prize}, which {they} had kept in a {state} {vessel} since {month}.",
        "On a {quality} {day} in {season}, the {prize} was gone, and {hero} knew how {mood} {their} {family} would be.",
    ),
    "storm": (
        "One {day}, a {event} came over {town} and broke the {building} where {hero} kept the {prize}.",
        "In {season} the {weather} was so heavy that it carried off the {prize} of {hero}.",
        "The {event} of that {season} left {town} without a {building}, and {hero} without the {prize}.",
    ),
    "quarrel": (
        "One {day}, {hero} and {friend} quarrelled about a {prize}.",
        "{friend} said that the {prize} belonged to {their} {family}, and {hero} grew {mood}.",
        "It began with a {prize}, a {character} {role} and a word that {hero} should not have said to {friend}.",
    ),
    "journey": (
        "One {day}, {hero} had to carry a {prize} from {town} to {goal}.",
        "{their+cap} {family} asked {hero} to bring the {prize} to {goal} before {daytime}.",
        "The road from {town} to {goal} is long, and {hero} had never walked it with a {prize} before.",
    ),
}

_RULES = {
    **{f"start_{plot}": texts for plot, texts in _PLOTS.items()},
    "day": ("morning", "evening", "afternoon", "{weekday}", "quiet morning", "{season} day", "{season} evening"),
    "family": ("grandmother", "grandfather", "mother", "father", "uncle", "aunt", "teacher"),
    "setting": (
        "{hero} was a {character} {job} who lived in {town}, beside {spot}.",
        "There once was a {job} in {town} whose name was {hero}.",
        "In {town}, where {craft_clause}, lived a {character} {job} called {hero}.",
        "Nobody in {town} {handle+ed} {things_phrase} as {manner+ly} as {hero}, the {job}.",
        "When {hero} was young, {craft_clause} in {town}, and the {building} was still {state}.",
    ),
    "colour_in": (
        "The {weather} lay over {spot}, and a {quality} {animal} {idle+ed} {beside}.",
        "It was {season}, and {town} smelled of {stuff} and {stuff}.",
        "{their+cap} best friend was {friend}, a {character} {role} who liked to {make} {things_phrase}.",
        "Every {weekday}, {they} {handle+ed} {things_phrase} and {handle+ed} the {thing} {beside}.",
        "{they+cap} owned a {thing_phrase}, a {quality} {thing} and a {animal} that {idle+ed} all day.",
        "In {town} people knew that {craft_clause}, and nobody asked why.",
        "Behind {spot} stood a {state} {building}, and in it {craft_clause}.",
    ),
    "feeling": (
        "{hero} was {mood}, for {they} {think+ed} that {virtue} alone would not be enough.",
        '"I am {mood}," {say+ed} {hero}, "and I do not know whether to {move} or to {idle}."',
        "{they+cap} {idle+ed} for a while and felt {mood} and {mood}.",
        '"What shall I do?" {say+ed} {hero} {manner+ly}. "Without the {prize} I cannot {handle} the {thing}."',
        "{hero} {idle+ed} {beside} until {daytime}, {mood} and cold.",
    ),
    "search": (
        "First {they} {move+ed} to {spot}, but there {they} found only a {thing_phrase}.",
        "{they+cap} asked the {role}, who {handle+ed} a {thing} and {say+ed} that {they} had seen nothing.",
        "Then {hero} {handle+ed} every {vessel} in the {building} and {move+ed} [along|past|towards] {spot}.",
        "{they+cap} looked {beside}, where {people} {handle+ed} {things_phrase}, and {manner+ly} {move+ed} on.",
        'A {character} {role} {beside} {say+ed}, "Have you looked near {spot}?"',
        "At {daytime} {they} {move+ed} past {spot}, where a {animal} {idle+ed}.",
    ),
    "helper": (
        'There stood {friend} with a {key}. "Take it," {say+ed} {friend}. "With a {key} you can {handle} anything."',
        'Then {friend} came with a {key} and {say+ed}, "{virtue+cap} is good, but a {key} is better."',
        '"You helped me when the {event} came," {say+ed} {friend}, and gave {hero} a {key} made of {stuff}.',
        "{friend} had heard of it and {move+ed} all the way from {goal} with a {state} {key}.",
    ),
    "turn": (
        "With the {key}, {hero} {handle+ed} the {part} of {spot}, and behind it lay the {prize}.",
        "Because {they} had the {key}, {hero} could {handle} the {state} {vessel}, and there was the {prize}.",
        "{hero} {handle+ed} the {key} {manner+ly}, the {part} opened, and the {prize} fell into {their} {body}.",
        "It took the {key}, {small_number} {role+s} and a lot of {virtue}, but at {daytime} {hero} held the {prize}.",
    ),
    "ending": (
        "From that day on, {hero} and {friend} {handle+ed} the {prize} together.",
        "{their+cap} {family} was {mood} and {cook+ed} {food+s} for everyone.",
        '{hero} gave the {key} back, and {friend} {idle+ed}. "Keep it," {they} {say+ed}. "The next {event} will come."',
        "That is why in {town} {craft_clause}, and why a {key} hangs in every {building}.",
        "{hero} put the {prize} into a {quality} {vessel} and never again forgot to {handle} it.",
        "They walked home to {town} {when}, and the {animal} {idle+ed} {beside}.",
    ),
    "moral": (
        "{virtue+cap} had found what {virtue} had lost.",
        "So {hero} learned that {virtue} needs a friend.",
        "And if the {building} still stands, the {prize} is there to this day.",
        "People in {town} tell this story {when}.",
        "After that, {hero} was never {mood} about a {thing} again.",
    ),
    "title": phrases("""
        {hero} and the {prize} / The {prize} of {town} / How {hero} met {friend} / The {job} and the {key} / A
        {key} for {hero} / {hero}, {friend} and the {prize} / The {season} of the {prize} / The road to {goal}
    """),
}

_SLOTS = phrases("""
    hero / friend / town / goal / they / their / them / prize / key / job
""")
_GRAMMAR = Grammar({**LEXICON, **CLAUSES, **_RULES}, slots=_SLOTS)


def story(world: World, dice: Dice, typographic: bool = False) -> Body:
    """Return a story of 150 to 350 words; `typographic` sets its quotation marks and apostrophes as a printer would."""
    slots = _cast(world, dice)
    plot = dice.pick(tuple(_PLOTS))
    colour = _GRAMMAR.deal("colour_in", 4, dice, slots)
    feelings = _GRAMMAR.deal("feeling", 3, dice, slots)
    texts = [
        " ".join((*_GRAMMAR.deal("setting", 1, dice, slots), *colour[: dice.between(2, 3)])),
        " ".join(
            (
                *_GRAMMAR.deal(f"start_{plot}", 1, dice, slots),
                feelings[0],
                *_GRAMMAR.deal("search", dice.between(2, 4), dice, slots),
            )
        ),
        " ".join((*_GRAMMAR.deal("helper", 1, dice, slots), colour[3], *_GRAMMAR.deal("turn", 1, dice, slots))),
        " ".join((*_GRAMMAR.deal("ending", dice.between(2, 3), dice, slots), *_GRAMMAR.deal("moral", 1, dice, slots))),
    ]
    if dice.chance(0.4):
        texts.insert(2, " ".join((feelings[1], *_GRAMMAR.deal("search", 2, dice, slots), feelings[2])))
    if typographic:
        texts = [_typeset(text) for text in texts]
    return Body(_GRAMMAR.sentence("title", dice, dict(slots)), tuple(Block("p", (text,)) for text in texts))


def _cast(world: World, dice: Dice) -> dict[str, str]:
    """Return the characters and things of a story, constant throughout."""
    town, goal = dice.sample(world.entities["town"], 2)
    hero, friend = dice.sample(world.given_names, 2)
    they, their, them = dice.pick((("she", "her", "her"), ("he", "his", "him")))
    return {
        "hero": hero,
        "friend": friend,
        "town": town["name"],
        "goal": goal["name"],
        "they": they,
        "their": their,
        "them": them,
        "prize": dice.pick(LEXICON["instrument"] + LEXICON["wear"] + LEXICON["text"]),
        "key": dice.pick(LEXICON["tool"]),
        "job": dice.pick(LEXICON["role"]),
    }


def _typeset(text: str) -> str:
    """Turn straight quotation marks into curly ones, pair by pair, and apostrophes."""
    pieces = text.replace("'", "’").split('"')
    return "".join(piece + ("“" if number % 2 == 0 else "”") for number, piece in enumerate(pieces[:-1])) + pieces[-1]
