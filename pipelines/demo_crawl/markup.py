"""HTML of a page: the body in its site's frame, with menus, links, comments and advertisements.

Menu, footer and scripts are fixed for a site; related links, comments and advertisements vary. The body is in the
HTML whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from html import escape
from types import MappingProxyType

from pipelines.demo_crawl.body import Block, Body
from pipelines.demo_crawl.clauses import CLAUSES
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.frames import FRAMES, HEAD, SCRIPTS
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON
from pipelines.demo_crawl.site import Site

_CHATTER_SIZE = 400

_CHATTER = {
    "comment": (
        "Nice {text}, I will {handle} it on {weekday}.",
        "My {role} read this to me and was {mood}.",
        "Is there a page about {plant+s} too?",
        "I think the part about the {thing} is wrong.",
        "Thanks for posting, very {worth}.",
        "Who else is here after the {event}?",
        "More {animal+s} please!",
    ),
    "related": (
        "{size+cap} {thing+s} and {stuff}",
        "The {state} {building}",
        "Ten {worth} {thing+s}",
        "A {character} {role}",
        "Why {animal+s} {move}",
        "Notes on {stuff}",
    ),
    "advert": (
        "{worth+cap} {stuff}, now {round_number} percent off",
        "Meet the {state} {vehicle}",
        "Your new {furniture} is waiting",
        "Trusted by {role+s}",
    ),
    "user": ("{colour}{animal}", "{role}{small_number}", "{plant}_{round_number}"),
}
_GRAMMAR = Grammar({**LEXICON, **CLAUSES, **_CHATTER})


def render(body: Body, site: Site, charset: str, dice: Dice) -> str:
    """Return the HTML of a page that declares `charset`."""
    head = HEAD.format(
        language=body.language,
        charset=charset,
        title=escape(body.title),
        name=site.name,
        frame=site.frame,
        version=dice.between(10, 99),
        script=SCRIPTS[site.frame],
    )
    frame = FRAMES[site.frame].format(
        content=f"<h1>{escape(body.title, quote=False)}</h1>\n{_blocks(body.blocks)}",
        name=site.name,
        menu=_menu(site),
        related=_related(dice),
        comments=_comments(dice),
        advert=_advert(dice),
        second_advert=_advert(dice),
        footer=_footer(site),
        cookies=_cookies(site),
    )
    return f"{head}{frame}</html>\n"


def _blocks(blocks: tuple[Block, ...]) -> str:
    return "\n".join(_BLOCKS[block.kind](tuple(escape(line, quote=False) for line in block.lines)) for block in blocks)


_BLOCKS: Mapping[str, Callable[[tuple[str, ...]], str]] = MappingProxyType(
    {
        "p": lambda lines: f"<p>{lines[0]}</p>",
        "h2": lambda lines: f"<h2>{lines[0]}</h2>",
        "quote": lambda lines: f"<blockquote><p>{lines[0]}</p></blockquote>",
        "ul": lambda lines: "<ul>\n" + "".join(f"<li>{line}</li>\n" for line in lines) + "</ul>",
    }
)


@lru_cache(maxsize=1)
def _chatter() -> Mapping[str, tuple[str, ...]]:
    """Return comments, titles, advertisements and user names, a few hundred of each, the same in every crawl."""
    dice = Dice("chatter")
    return {rule: tuple(_GRAMMAR.sentence(rule, dice) for _ in range(_CHATTER_SIZE)) for rule in _CHATTER}


@lru_cache(maxsize=64)
def _menu(site: Site) -> str:
    return "".join(f'<li><a href="/{item.lower().replace(" ", "-")}">{item}</a></li>' for item in site.menu)


def _related(dice: Dice) -> str:
    titles, first = _chatter()["related"], dice.between(0, _CHATTER_SIZE - 1)
    numbers = ((first + 7 * step) % _CHATTER_SIZE for step in range(dice.between(5, 10)))
    return "".join(f'<li><a href="/r/{number}">{titles[number]}</a></li>' for number in numbers)


def _comments(dice: Dice) -> str:
    items = "".join(_comment(dice) for _ in range(dice.between(0, 5)))
    form = '<form action="/comment"><input name="text"><button>Post comment</button></form>'
    return f'<section id="comments" class="comments"><h3>Comments</h3>\n{items}{form}</section>'


def _comment(dice: Dice) -> str:
    chatter = _chatter()
    return (
        f'<div class="comment"><span class="author">{dice.pick(chatter["user"])}</span> '
        f"<time>{dice.between(2, 23)} hours ago</time>"
        f'<p class="comment-text">{dice.pick(chatter["comment"])}</p><a class="reply" href="#reply">Reply</a></div>\n'
    )


def _advert(dice: Dice) -> str:
    link = f"https://ads.example/c/{dice.between(1000, 9999)}"
    return f'<div class="ad advertisement"><a href="{link}">{dice.pick(_chatter()["advert"])}</a></div>'


def _cookies(site: Site) -> str:
    return (
        '<div id="cookie-banner" class="cookie-consent" role="dialog">'
        f"<p>{site.name} uses cookies to improve your visit.</p>"
        "<button>Accept all</button> <button>Settings</button></div>"
    )


def _footer(site: Site) -> str:
    rights = f"<p>© 2026 {site.name}. All rights reserved.</p>"
    return f'<footer class="footer">{rights}<ul>{_menu(site)}<li><a href="/privacy">Privacy</a></li></ul></footer>'
