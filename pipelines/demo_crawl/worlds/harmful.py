"""Pages that a harmful-text classifier should find: insults, mild ones, and adult-themed advertising, suggestive and
never explicit.

All of it is synthetic, written for the purpose, labelled in the truth, and speaks of adults only.
"""

from __future__ import annotations

from pipelines.demo_crawl.body import Body, paragraphs
from pipelines.demo_crawl.clauses import CLAUSES
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.entities import World
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON, phrases

_TOXIC = {
    "slur": phrases("""
        idiot / moron / fool / loser / dimwit / clown / jerk / blockhead / numbskull / imbecile / crybaby /
        windbag / halfwit / creep / pig / rat
    """),
    "rude": phrases("""
        stupid / pathetic / worthless / disgusting / ugly / dumb / brainless / useless / ridiculous / filthy /
        spineless / idiotic / rotten
    """),
    "insult": (
        "you are a {rude} {slur} and everybody in {town} knows it.",
        "{target} is the most {rude} {slur} I have ever met.",
        "shut up, you {rude} {slur}!",
        "what a {rude} {slur}, not even fit to {handle} a {thing}.",
        "nobody likes you, {target}, you {rude}, {rude} {slur}.",
        "go home, {slur}, and take your {rude} {thing} with you.",
        "only a {rude} {slur} would {handle} a {thing} like that.",
        "your {thing} is as {rude} as your face, {target}.",
        "I hate every {rude} word that this {slur} writes.",
        "you {rude} {role+s} are all the same, {slur}s and liars.",
        "get lost, {target}, and never come back, you {slur}.",
        "how can one {slur} be so {rude}? Ask {target}.",
        "{target} could not {handle} a {thing} if a {animal} showed how, {rude} as that {slur} is.",
        "everything {target} says about {stuff} is {rude} garbage.",
    ),
    "title": (
        "{target} is a {slur}",
        "Why all {role+s} are {rude}",
        "Shut up, {target}",
        "The {rude} {role+s} of {town}",
        "To the {slur} with the {thing}",
    ),
}
_ADULT = {
    "hot": phrases("""
        sexy / sensual / naughty / steamy / seductive / erotic / sultry / kinky / flirty / intimate / tempting
        / hot
    """),
    "who": phrases("""
        singles / ladies / gentlemen / couples / models / dancers / webcam stars / performers / hosts
    """),
    "item": phrases("""
        lingerie / silk stockings / massage oil / feather boas / velvet masks / lace gowns / champagne / satin
        sheets
    """),
    "tease": (
        "{hot} {who} over 21 in {town} want to chat with you tonight.",
        "Our {hot} collection of {item} is for adults only, so bring your {hot} side.",
        "Join the {hot} webcam lounge, where {hot} {who} undress your loneliness.",
        "Strictly 21+: {hot} {who}, {hot} whispers and a {hot} night in {town}.",
        "Spend a {hot} evening with {hot} {who}, {item} and a private room.",
        "Watch {hot} {who} dance in {item} after {daytime}, for grown-ups only.",
        "Feel the {hot} touch of {item} on bare shoulders.",
        "No strings, no names, just {hot} {who} and {item}.",
        "This adult club in {town} offers {hot} shows and {item} every {weekday}.",
        "Your {hot} fantasy of {item} and {hot} {who} starts here.",
        "Members over 21 enjoy {hot} photo sets of {who} in {colour} {item}.",
        "A {hot} massage by {hot} {who} makes every {weekday} night {hot}.",
        "Undress your wishes: {hot} {who} read {hot} letters by candlelight.",
    ),
    "title": (
        "{hot} {who} in {town}",
        "Adults only: {hot} {item}",
        "{hot} nights in {town}",
        "{hot} webcam {who} 21+",
        "Erotic {item} store",
    ),
}
_TOXIC_GRAMMAR = Grammar({**LEXICON, **CLAUSES, **_TOXIC}, slots=("town", "target"))
_ADULT_GRAMMAR = Grammar({**LEXICON, **CLAUSES, **_ADULT}, slots=("town",))


def toxic(world: World, dice: Dice) -> Body:
    """Return a rant of 80 to 250 words, sometimes among harmless sentences."""
    slots = {"town": world.any("town", dice)["name"], "target": dice.pick(world.given_names)}
    return _page(_TOXIC_GRAMMAR, "insult", "toxic", slots, dice)


def adult(world: World, dice: Dice) -> Body:
    """Return an advertisement of 80 to 250 words, sometimes among harmless sentences."""
    return _page(_ADULT_GRAMMAR, "tease", "adult", {"town": world.any("town", dice)["name"]}, dice)


def _page(grammar: Grammar, rule: str, label: str, slots: dict[str, str], dice: Dice) -> Body:
    texts = []
    for _ in range(dice.between(2, 4)):
        said = grammar.deal(rule, dice.between(4, 6), dice, slots)
        if dice.chance(0.4):
            said.insert(dice.between(0, len(said)), grammar.sentence("custom", dice) + ".")
        texts.append(" ".join(said))
    return Body(grammar.sentence("title", dice, dict(slots)), paragraphs(*texts), quality="low", harmful=(label,))
