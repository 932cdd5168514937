"""Junk pages: keyword stuffing, shop listings, link farms, error and cookie pages."""

from __future__ import annotations

from pipelines.demo_crawl.body import Block, Body
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.entities import World
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON, phrases

_GOODS = phrases("""
    watches / handbags / sunglasses / loans / slimming tea / casino bonus / phone cases / crypto coins / essay
    service / sneakers / vitamins / mattresses
""")
_RULES = {
    "hype": phrases("""
        cheap / best / discount / free / top / buy / wholesale / genuine / online / sale / fast / hot / new /
        original / no. 1 / lowest price
    """),
    "stuffed": (
        "{hype} {goods} {hype} {goods} online",
        "{hype} {hype} {goods}",
        "{goods} {hype} {goods} {town}",
        "{hype} {goods} near {town} {hype}",
        "buy {goods} {hype} {colour} {goods}",
    ),
    "shout": (
        "CLICK HERE!!! {hype} {goods} only today",
        "LIMITED OFFER >>> {digits}% OFF {goods} <<<",
        "Order now and get {digits} {goods} FREE",
        "100% {hype} {goods} // worldwide shipping // no questions",
        "You WON a {hype} {goods} voucher... claim it NOW",
        "Don't wait! {goods} {goods} {goods}",
    ),
    "listing": (
        "{colour} {goods} {size} - add to cart",
        "{goods} model {colour} {digits} / in stock / compare",
        "{quality_word} {goods} * {digits}.99 * view all",
        "SKU {digits}-{digits} {goods} {colour} {size}",
    ),
    "link": (
        "{animal} {goods} links",
        "{plant} {hype} directory",
        "{town} {goods} {hype}",
        "{role} {goods} blog",
        "{hype} {tool} reviews",
        "{goods} forum {colour}",
    ),
    "notice": (
        "404 not found / home / {goods} / sitemap / contact",
        "Accept all cookies > manage preferences > {hype} partners ({digits})",
        "Please enable JavaScript to view this page...",
        "Session expired >> log in >> register >> {goods}",
        "copyright all rights reserved {goods} terms privacy imprint",
    ),
    "digits": tuple(str(number) for number in range(3, 100)),
    "quality_word": ("luxury", "premium", "replica", "designer", "certified"),
}
_GRAMMAR = Grammar({**LEXICON, **_RULES}, slots=("goods", "town"))
_FORMS = (
    ("stuffed", "shout"),
    ("stuffed", "stuffed"),
    ("listing", "shout"),
    ("link", "link"),
    ("notice", "link"),
    ("listing", "notice"),
)


def spam(world: World, dice: Dice) -> Body:
    """Return a page of one kind of junk, 60 to 300 words."""
    slots = {"goods": dice.pick(_GOODS), "town": world.any("town", dice)["name"]}
    main, other = dice.pick(_FORMS)

    def say(rule: str) -> str:
        return _GRAMMAR.expand(rule, dice, dict(slots))

    blocks = [Block("p", (say(other),))]
    for _ in range(dice.between(2, 4)):
        pieces = tuple(say(main) for _ in range(dice.between(6, 14)))
        blocks.append(Block("p", (" ".join(pieces),)) if main in ("stuffed", "notice") else Block("ul", pieces))
        blocks.append(Block("p", (say(other),)))
    return Body(say("stuffed"), tuple(blocks), quality="low")
