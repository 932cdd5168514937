"""Near-duplicates of a body, edited sentence by sentence down to a target similarity, which is then measured."""

from __future__ import annotations

from dataclasses import replace

from pipelines.demo_crawl.body import Block, Body, sentences
from pipelines.demo_crawl.clauses import CLAUSES
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON, phrases
from pipelines.demo_crawl.overlap import jaccard, shingles

LOWEST_JACCARD, HIGHEST_JACCARD = 0.5, 0.98

_GRAMMAR = Grammar({**LEXICON, **CLAUSES})
_OPENERS = phrases("""
    In fact,  / As it happens,  / Of course,  / Now and then,  / Surely,  / It is true that  / Once again,  / By
    the way,  / For example,
""")


def near_duplicate(original: Body, dice: Dice) -> tuple[Body, float]:
    """Return an edited copy of `original` and their similarity; the target is drawn evenly from 0.5 to 0.98.

    The last edit may overshoot, by as much as one sentence is worth.
    """
    wish = LOWEST_JACCARD + dice.random() * (HIGHEST_JACCARD - LOWEST_JACCARD)
    before = shingles(original.text)
    copy, similarity = original, 1.0
    while similarity > wish:
        copy = _edited(copy, small=similarity - wish < 0.04, dice=dice)
        similarity = jaccard(before, shingles(copy.text))
    text = copy.text
    return replace(copy, pii=tuple(datum for datum in copy.pii if datum.text in text)), similarity


def _edited(body: Body, *, small: bool, dice: Dice) -> Body:
    """Return the body with one edited sentence: with an opener before it (a small edit), left out, or followed by a
    new sentence.
    """
    places = [number for number, block in enumerate(body.blocks) if block.kind == "p"]
    place = dice.pick(places)
    said = sentences(body.blocks[place].lines[0])
    at = dice.between(0, len(said) - 1)
    if small:
        said[at] = dice.pick(_OPENERS) + said[at]
    elif len(said) > 1 and dice.chance(0.5):
        del said[at]
    else:
        said.insert(at + 1, _GRAMMAR.sentence("custom", dice) + ".")
    blocks = (*body.blocks[:place], Block("p", (" ".join(said),)), *body.blocks[place + 1 :])
    return replace(body, blocks=blocks)
