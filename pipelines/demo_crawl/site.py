"""The web sites of the crawl: hosts, names, menus, frames and worlds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipelines.demo_crawl.dice import Dice


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
    """Return a site that carries pages of `world`; a mirror's is one that copies from others."""
    return dice.pick(_MIRRORS if mirror else SITES[world])
