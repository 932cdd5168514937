"""Web sites around a body: menus, side bars, share buttons, advertisements, comments, cookie banners, scripts and
footers.

Nineteen sites with six page frames between them. What a site puts around its pages is fixed where a real site's is
(menu, footer, scripts) and varies where a real one's does (related links, comments, advertisements).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from types import MappingProxyType

from pipelines.demo_crawl.body import Block, Body
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import CLAUSES, LEXICON


@dataclass(frozen=True, slots=True)
class Site:
    """A host, the section its pages lie in, its name, its menu, and the frame that its pages have."""

    host: str
    section: str
    name: str
    menu: tuple[str, ...]
    frame: str


def _site(host: str, section: str, name: str, menu: str, frame: str) -> Site:
    return Site(host, section, name, tuple(menu.split(", ")), frame)


_ENCYCLOPAEDIA = _site(
    "encyclopaedia.example.org",
    "wiki",
    "The Free Gazetteer",
    "Main page, Contents, Random page, Recent changes, Help, Donate",
    "wiki",
)
_ATLAS = _site(
    "www.atlas-of-rivers.example",
    "places",
    "Atlas of Rivers",
    "Home, Places, Rivers, People, Maps, About us",
    "columns",
)
_GAZETTE = _site(
    "www.county-gazette.example",
    "features",
    "County Gazette",
    "News, Features, Sport, Weather, Obituaries, Subscribe",
    "paper",
)
_SCHOOL = _site(
    "school.example.net",
    "lessons",
    "The Little School",
    "Home, Lessons, Worksheets, Teachers, Parents, Sign in",
    "columns",
)
_SUMS = _site("www.daily-sums.example", "practice", "Daily Sums", "Start, Practice, Tests, Prizes, Shop", "blog")
_TALES = _site(
    "tales.example.org", "stories", "A Shelf of Tales", "Stories, Authors, Audio, Newsletter, Contact", "blog"
)
_FIRESIDE = _site(
    "fireside.example.com", "read", "Fireside Reading", "Home, New stories, Popular, Series, Write for us", "paper"
)
_WORKBENCH = _site(
    "www.workbench.example", "howto", "The Workbench", "Home, Guides, Tools, Kitchen, Garden, Questions", "columns"
)
_FORUM = _site(
    "board.example.net", "thread", "Tool Talk Board", "Forums, Members, Search, Rules, Log in, Register", "board"
)
_CHAT = _site("talk.example.com", "t", "Village Talk", "All topics, Latest, Unread, Groups, Settings", "board")
_DEALS = _site("best-deals.example", "p", "BEST DEALS 24", "Deals, Top 10, Coupons, Outlet, Cart", "shop")
_RANTS = _site("rants.example.com", "posts", "Speak Your Mind", "Hot, New, Rising, Top, Log in", "board")
_LOUNGE = _site(
    "lounge.example.net", "night", "The Velvet Lounge 21+", "Enter, Gallery, Members, Join now, Help", "shop"
)
_MIRROR = _site("mirror.example.org", "copy", "Reading Mirror", "Index, Latest copies, Sources, Imprint", "wiki")
_HERALD = _site(
    "www.morning-herald.example",
    "stories",
    "Morning Herald",
    "Front page, World, Local, Culture, Letters, Jobs",
    "paper",
)
_EUROPE = {
    "de": _site(
        "www.dorfzeitung.example",
        "artikel",
        "Die Dorfzeitung",
        "Startseite, Nachrichten, Kultur, Anzeigen, Impressum",
        "paper",
    ),
    "fr": _site(
        "www.petit-journal.example",
        "articles",
        "Le Petit Journal",
        "Accueil, Actualités, Culture, Annonces, Contact",
        "blog",
    ),
    "es": _site(
        "www.diario-del-valle.example",
        "articulos",
        "Diario del Valle",
        "Portada, Noticias, Cultura, Anuncios, Contacto",
        "columns",
    ),
    "it": _site(
        "www.gazzetta-del-borgo.example",
        "articoli",
        "Gazzetta del Borgo",
        "Prima pagina, Notizie, Cultura, Annunci, Contatti",
        "wiki",
    ),
}

SITES: Mapping[str, tuple[Site, ...]] = MappingProxyType(
    {
        "lesson": (_SCHOOL, _SUMS, _SCHOOL, _GAZETTE),
        "article": (_ENCYCLOPAEDIA, _ATLAS, _ENCYCLOPAEDIA, _HERALD),
        "story": (_TALES, _FIRESIDE, _GAZETTE),
        "how_to": (_WORKBENCH, _SUMS, _HERALD),
        "forum": (_FORUM, _CHAT),
        "spam": (_DEALS, _MIRROR),
        "toxic": (_RANTS, _CHAT, _FORUM),
        "adult": (_LOUNGE, _DEALS),
        **{language: (site,) for language, site in _EUROPE.items()},
    }
)
"""World to the sites that carry its pages; a site named twice carries twice as many."""

_MIRRORS = (_MIRROR, _HERALD, _GAZETTE, _TALES)


def site_for(world: str, dice: Dice, *, mirror: bool = False) -> Site:
    """A site that carries pages of `world`; a mirror's is one that copies from others."""
    return dice.pick(_MIRRORS if mirror else SITES[world])


def render(body: Body, site: Site, charset: str, dice: Dice) -> str:
    """The HTML of a page. The body is in it whole, and nothing else that reads like the body's text."""
    content = f"<h1>{escape(body.title, quote=False)}</h1>\n{_blocks(body.blocks)}"
    head = (
        f'<!DOCTYPE html>\n<html lang="{body.language}">\n<head>\n<meta charset="{charset}">\n<title>{escape(body.title)} - {site.name}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<link rel="stylesheet" href="/assets/{site.frame}.css?v={dice.between(10, 99)}">\n'
        f"<script>{_SCRIPTS[site.frame]}</script>\n</head>\n"
    )
    return head + _FRAMES[site.frame](content, site, dice) + "</html>\n"


def _blocks(blocks: tuple[Block, ...]) -> str:
    return "\n".join(_BLOCKS[block.kind](block.lines) for block in blocks)


_BLOCKS: Mapping[str, Callable[[tuple[str, ...]], str]] = MappingProxyType(
    {
        "p": lambda lines: f"<p>{escape(lines[0], quote=False)}</p>",
        "h2": lambda lines: f"<h2>{escape(lines[0], quote=False)}</h2>",
        "quote": lambda lines: f"<blockquote><p>{escape(lines[0], quote=False)}</p></blockquote>",
        "ul": lambda lines: "<ul>\n" + "".join(f"<li>{escape(line, quote=False)}</li>\n" for line in lines) + "</ul>",
    }
)

_COMMENT_GRAMMAR = Grammar(
    {
        **LEXICON,
        **CLAUSES,
        "comment": (
            "Nice {text}, I will {handle} it on {weekday}.",
            "My {role} read this to me and was {mood}.",
            "Is there a page about {plant+s} too?",
            "First!",
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
)


@lru_cache(maxsize=1)
def _chatter() -> Mapping[str, tuple[str, ...]]:
    """Comments, related titles, advertisements and user names, a few hundred of each, the same in every crawl."""
    dice = Dice("chatter")
    return {
        rule: tuple(_COMMENT_GRAMMAR.sentence(rule, dice) for _ in range(400))
        for rule in ("comment", "related", "advert", "user")
    }


def _menu(site: Site) -> str:
    return "".join(f'<li><a href="/{item.lower().replace(" ", "-")}">{item}</a></li>' for item in site.menu)


def _related(dice: Dice, count: int) -> str:
    titles = dice.sample(range(400), count)
    related = _chatter()["related"]
    return "".join(f'<li><a href="/r/{number}">{related[number]}</a></li>' for number in titles)


def _comments(dice: Dice) -> str:
    chatter = _chatter()
    items = "".join(
        f'<div class="comment"><span class="author">{dice.pick(chatter["user"])}</span> <time>{dice.between(1, 23)} hours ago</time>'
        f'<p class="comment-text">{dice.pick(chatter["comment"])}</p><a class="reply" href="#reply">Reply</a></div>\n'
        for _ in range(dice.between(0, 5))
    )
    return f'<section id="comments" class="comments"><h3>Comments</h3>\n{items}<form action="/comment"><input name="text"><button>Post comment</button></form></section>\n'


def _advert(dice: Dice) -> str:
    return f'<div class="ad advertisement" aria-label="Advertisement"><a href="https://ads.example/c/{dice.between(1000, 9999)}">{dice.pick(_chatter()["advert"])}</a></div>\n'


def _cookies(site: Site) -> str:
    return (
        f'<div id="cookie-banner" class="cookie-consent" role="dialog"><p>{site.name} uses cookies to improve your visit.</p>'
        "<button>Accept all</button> <button>Settings</button></div>\n"
    )


def _share() -> str:
    return '<div class="share social"><a href="#s1">Share</a> <a href="#s2">Tweet</a> <a href="#s3">Print</a></div>\n'


def _footer(site: Site) -> str:
    return f'<footer class="footer"><p>© 2026 {site.name}. All rights reserved.</p><ul>{_menu(site)}<li><a href="/privacy">Privacy</a></li></ul></footer>\n'


def _wiki(content: str, site: Site, dice: Dice) -> str:
    return (
        f'<body class="wiki">\n<header><a href="/">{site.name}</a></header>\n<div id="column-one"><nav><ul>{_menu(site)}</ul></nav></div>\n'
        f'<main id="main" class="content">\n<article>\n{content}\n</article>\n</main>\n'
        f'<aside class="sidebar"><h3>See also</h3><ul>{_related(dice, 6)}</ul></aside>\n{_footer(site)}{_cookies(site)}</body>\n'
    )


def _columns(content: str, site: Site, dice: Dice) -> str:
    return (
        f'<body>\n{_cookies(site)}<div class="header"><nav class="navbar"><ul>{_menu(site)}</ul></nav></div>\n<div class="container"><div class="row">\n'
        f'<div class="sidebar widget"><h4>Popular</h4><ul>{_related(dice, 8)}</ul>{_advert(dice)}</div>\n'
        f'<div class="content" id="content">\n{content}\n</div>\n</div></div>\n{_share()}{_comments(dice)}{_footer(site)}</body>\n'
    )


def _paper(content: str, site: Site, dice: Dice) -> str:
    return (
        f'<body class="news">\n<header class="masthead"><h2 class="logo">{site.name}</h2><nav><ul>{_menu(site)}</ul></nav></header>\n{_advert(dice)}'
        f'<main>\n<article class="story">\n{content}\n</article>\n{_share()}</main>\n<aside class="related"><h3>Read next</h3><ul>{_related(dice, 5)}</ul></aside>\n'
        f"{_comments(dice)}{_advert(dice)}{_footer(site)}<script>{_TRACKER}</script>\n</body>\n"
    )


def _blog(content: str, site: Site, dice: Dice) -> str:
    return (
        f'<body>\n<div id="page">\n<nav id="site-navigation" class="menu"><ul>{_menu(site)}</ul></nav>\n'
        f'<article class="post hentry"><div class="entry-content">\n{content}\n</div></article>\n{_share()}'
        f'<div class="newsletter"><p>Get our letter by mail.</p><form><input type="email"><button>Subscribe</button></form></div>\n{_comments(dice)}'
        f'<div class="sidebar"><h4>Archive</h4><ul>{_related(dice, 7)}</ul></div>\n</div>\n{_footer(site)}{_cookies(site)}</body>\n'
    )


def _board(content: str, site: Site, dice: Dice) -> str:
    return (
        f'<body class="board">\n<div class="topbar"><ul class="nav">{_menu(site)}</ul></div>\n<div class="breadcrumb"><a href="/">Index</a> » <a href="/t">Topics</a></div>\n'
        f'<main role="main">\n<div class="thread content">\n{content}\n</div>\n</main>\n{_advert(dice)}'
        f'<div class="sidebar"><h4>Active topics</h4><ul>{_related(dice, 6)}</ul></div>\n{_footer(site)}<script>{_TRACKER}</script>\n</body>\n'
    )


def _shop(content: str, site: Site, dice: Dice) -> str:
    return (
        f'<body class="shop">\n<div class="popup modal"><p>Wait! {dice.pick(_chatter()["advert"])}!</p><button>Close</button></div>\n'
        f'<div class="nav header"><ul>{_menu(site)}</ul></div>\n{_advert(dice)}<div class="content main">\n{content}\n</div>\n'
        f'{_advert(dice)}{_advert(dice)}<div class="sidebar"><ul>{_related(dice, 10)}</ul></div>\n{_cookies(site)}{_footer(site)}</body>\n'
    )


_FRAMES: Mapping[str, Callable[[str, Site, Dice], str]] = MappingProxyType(
    {"wiki": _wiki, "columns": _columns, "paper": _paper, "blog": _blog, "board": _board, "shop": _shop}
)

_TRACKER = 'window.metrics=window.metrics||[];metrics.push({"page":document.title,"at":Date.now()});'

_SCRIPTS: Mapping[str, str] = MappingProxyType(
    {
        "wiki": 'var conf={"skin":"vector","ns":0};document.documentElement.className="js";',
        "columns": "function toggle(e){var m=document.getElementById(e);m.hidden=!m.hidden}",
        "paper": '(function(d){var s=d.createElement("script");s.async=1;s.src="/js/paper.js";d.head.appendChild(s)})(document);',
        "blog": 'var blog={theme:"plain",lazy:true};if(window.top!==window.self){window.top.location="/"}',
        "board": "var session=null;function quote(n){location.hash='post'+n}",
        "shop": "var cart=[];function add(n){cart.push(n);if(cart.length>9){alert('Full!')}}",
    }
)
