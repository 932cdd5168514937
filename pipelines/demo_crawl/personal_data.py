"""Personal data to mask: a paragraph with an e-mail address, a phone number, an IP address or a postal address, all
of them invented.

The addresses lie in reserved ranges: domains of RFC 2606, IP addresses of RFC 5737, North American numbers
555-0100 to 555-0199.
"""

from __future__ import annotations

from pipelines.demo_crawl.body import Body, PersonalDatum
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.entities import World
from pipelines.demo_crawl.lexicon import phrases

_SENTENCES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Write to {name} at {email} if you have a question about this page.", ("email",)),
    ("You can reach {name} by phone at {phone} or by mail at {email}.", ("phone", "email")),
    ("{name} answers calls at {phone} on weekday mornings.", ("phone",)),
    ("Corrections may be sent to {email} before the end of the month.", ("email",)),
    ("The last change was made from {ip} by {name}, who can be asked at {email}.", ("ip", "email")),
    ("Our server at {ip} was down yesterday, so please send photographs to {email} instead.", ("ip", "email")),
    ("Letters for {name} go to {address}, and parcels too.", ("address",)),
    ("The workshop of {name} is at {address}, and the phone number is {phone}.", ("address", "phone")),
)
_STREETS = phrases("""
    Willow Lane / Mill Road / Church Street / Harbour Street / Orchard Row / Station Road / Bridge Street / Garden
    Walk / Castle Hill / Quarry Lane
""")
_DOMAINS = ("example.com", "example.org", "example.net", "mail.example.org", "post.example.com")
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")


def with_personal_data(body: Body, world: World, dice: Dice) -> Body:
    """Return the body with one or two sentences of personal data as a paragraph of their own."""
    said: list[str] = []
    data: list[PersonalDatum] = []
    for sentence, kinds in dice.sample(_SENTENCES, 1 + dice.chance(0.25)):
        given, family = dice.pick(world.given_names), dice.pick(world.surnames)
        values = {kind: _invent(kind, given, family, world, dice) for kind in kinds}
        said.append(sentence.format(name=f"{given} {family}", **values))
        data += [PersonalDatum(kind, text) for kind, text in values.items()]
    return body.with_paragraph(" ".join(said), dice.between(1, len(body.blocks)), tuple(data))


def _invent(kind: str, given: str, family: str, world: World, dice: Dice) -> str:
    if kind == "email":
        local = dice.pick(
            (f"{given}.{family}", f"{given[0]}{family}", f"{family}{dice.between(1, 99)}", f"{given}_{family}")
        ).lower()
        return f"{local}@{dice.pick(_DOMAINS)}"
    if kind == "ip":
        return f"{dice.pick(_NETWORKS)}.{dice.between(1, 254)}"
    if kind == "address":
        return f"{dice.between(1, 180)} {dice.pick(_STREETS)}, {world.any('town', dice)['name']}"
    area, line = dice.between(201, 989), f"01{dice.between(0, 99):02d}"
    return dice.pick((f"({area}) 555-{line}", f"{area}-555-{line}", f"+1 {area} 555 {line}", f"{area}.555.{line}"))
