"""Boilerplate elements: by name, state, role, and the words of class and id.

A name alone proves little, for `content-sidebar-wrap` and `tag-newsletter` are wrappers of articles. Names are
therefore read word by word, states and tags are passed over, and `article` and `main` are never judged by their names.
The reader adds up the text that each word costs, so that a costly word can be forgiven (`extract.main_content`).
"""

from __future__ import annotations

import re
from functools import lru_cache

from pipelines.extract.word_lists import words

DROPPED_ELEMENTS = words(
    "nav aside footer select textarea datalist object video audio canvas svg figcaption rt rp dialog menu"
    " title noscript template progress meter button math mjx-container script"
)
"""Elements that are dropped by their names; a button or a template only where it holds no text of the page."""
CONTAINERS = words("div section article main form center details")
"""Elements that may be the one around the article."""
FORMULA = "formula"
"""The reason for which the markup of a formula is dropped, so that the page is read again with formulas as text."""
_FORMULA_ELEMENTS = frozenset(("math", "mjx-container", "script"))
_FORMULA_NAMES = words(
    "katex mathjax mathjax_preview mathjax_display mathjax_svg mathjax_svg_display mathjax_chtml mjx-chtml"
)
_NEVER_BY_NAME = frozenset(("article", "main", "body", "h1"))
_ALWAYS_ARTICLES = frozenset(("article", "main"))
_ROLES = words(
    "alert alertdialog banner checkbox comment complementary contentinfo dialog menu menubar menuitem navigation radio"
    " search searchbox separator tab toolbar tooltip"
)
_JUNK = words(
    """
    ad ads adsense advert advertisement advertising banner promo promoted sponsor sponsored
    nav navbar navigation breadcrumb breadcrumbs menu dropdown pagination pager skip sidebar sidebars footer toolbar
    login signin signup register search searchform cookie cookies consent gdpr copyright logo
    newsletter subscribe subscription follow share sharing sharedaddy shariff addtoany addthis social socials
    facebook twitter whatsapp pinterest
    related relatedposts yarpp recommended recommendation recommendations trending popular teasers
    modal popup lightbox tooltip carousel slideshow gallery
    comment comments disqus respond reply replies rating ratings
    author byline dateline timestamp meta metadata postmeta tags taglist keywords categories
    caption credit credits print noprint
    """
)
_HIDDEN = words(
    "hidden is-hidden visually-hidden visuallyhidden invisible sr-only screen-reader-text screenreader d-none"
    " display-none displaynone element-invisible u-hidden nocontent"
)
_JUNK_NAMES = words(
    "gutter lineno linenos line-number line-numbers linenodiv blob-num rouge-gutter headerlink anchor-link toc"
    " table-of-contents toc_container ez-toc-container widget-area"
)
_STATES = words("has with without no non not for node tag category cat type status format layout theme js post")
_CONTENT = words("content main article page body entry story text")
_WRAPPERS = words("wrap wrapper container layout grid row area")
_POST_PARTS = words("comment comments meta tags author date footer nav navigation share related")
_QUOTED_POSTS = ("twitter-tweet", "twitter-video")
_BODY = "<body>"
_HIDDEN_AT_FIRST = "d-none"
_SEPARATORS = re.compile(r"[\s_-]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_ARTICLE_BODY = re.compile(
    r"(?:article|entry|post|story|content|news|text|blog|page|single|main)[_-]*"
    r"(?:post|article|entry|main|page)?[_-]*(?:body|content|text|inhalt|main)"
    r"|article|post|entry|hentry|story|body|content|text",
    re.IGNORECASE,
)
_ACCORDION = re.compile(r'accordion|collaps|faq|question|disclosure|"(?:expander|toggle-title)')
_NAVIGATION = re.compile(r"nav|menu|search|sidebar", re.IGNORECASE)


def attribute(attributes: str, name: str) -> str:
    """Return the value of an attribute in its markup, with character references; empty where it is absent."""
    start = attributes.find(f' {name}="')
    if start < 0:
        return ""
    start += len(name) + 3
    return attributes[start : attributes.index('"', start)]


def reason_by_name(name: str, attributes: str, text: str = "", *, in_heading: bool = False) -> str:
    """Return the reason for which one of the `DROPPED_ELEMENTS` is dropped; `text` is what follows its start tag."""
    if name == "button":
        return "" if in_heading or _is_question(attributes, text) else name
    if name in _FORMULA_ELEMENTS:
        return FORMULA
    return "" if name == "template" and " shadowroot" in attributes else name


def reason_by_attributes(name: str, attributes: str) -> str:
    """Return the word for which an element is dropped for its state, role, class or id; empty where it is kept."""
    if "hidden" in attributes and (' hidden="' in attributes or 'aria-hidden="true"' in attributes):
        return "hidden"
    if ' style="' in attributes and _is_invisible(attribute(attributes, "style")):
        return "hidden"
    if name in _NEVER_BY_NAME:
        return ""
    if ' role="' in attributes and (role := attribute(attributes, "role")) in _ROLES:
        return role
    start = attributes.find(' class="')
    if start >= 0 and (word := _junk_word(attributes[start + 8 : attributes.index('"', start + 8)])):
        return word
    start = attributes.find(' id="')
    return _junk_word(attributes[start + 5 : attributes.index('"', start + 5)]) if start >= 0 else ""


def may_be_article(name: str, attributes: str) -> bool:
    """Return whether an element may be the one around the article."""
    if name in _ALWAYS_ARTICLES:
        return True
    if not attributes or name == "body":
        return False
    if 'itemprop="articleBody"' in attributes or 'role="main"' in attributes:
        return True
    start = attributes.find(' class="')
    if start >= 0 and _names_article_body(attributes[start + 8 : attributes.index('"', start + 8)]):
        return True
    start = attributes.find(' id="')
    return start >= 0 and _names_article_body(attributes[start + 5 : attributes.index('"', start + 5)])


def _is_question(attributes: str, text: str) -> bool:
    """Return whether a button holds the question of a list of questions, or the title of a box that opens."""
    if text.rstrip().endswith("?"):
        return True
    return _ACCORDION.search(attributes) is not None and _NAVIGATION.search(attributes) is None


def _is_invisible(style: str) -> bool:
    if "none" not in style and "hidden" not in style:
        return False
    style = style.replace(" ", "").lower()
    return "display:none" in style or "visibility:hidden" in style


def _junk_word(names: str) -> str:
    """Return the first word of the names that marks boilerplate; none where a name is an article's."""
    found = ""
    for name in names.split():
        word = _meaning(name)
        if word == _BODY:
            return ""
        if word and not found:
            found = word
    # Bootstrap hides by `d-none` and shows again from some width on by `d-md-block`.
    if found == _HIDDEN_AT_FIRST:
        return "" if names.count("d-") > 1 else "hidden"
    return found


@lru_cache(1 << 14)
def _names_article_body(names: str) -> bool:
    return any(_meaning(name) == _BODY for name in names.split())


@lru_cache(1 << 16)
def _meaning(name: str) -> str:
    """Return the meaning of one name: `_BODY` for an article's, the word for which an element is dropped, or
    nothing.
    """
    if _ARTICLE_BODY.fullmatch(name) or name in _QUOTED_POSTS:
        return _BODY
    lowered = name.lower()
    if name in _HIDDEN:
        return _HIDDEN_AT_FIRST if name == "d-none" else "hidden"
    if name in _JUNK_NAMES:
        return name
    if lowered in _FORMULA_NAMES:
        return FORMULA
    parts = _SEPARATORS.split((name if name.islower() else _HUMP.sub("-", name)).lower())
    if len(parts) > 1 and _is_state_or_wrapper(parts):
        return ""
    return next((part for part in parts if part in _JUNK), "")


def _is_state_or_wrapper(parts: list[str]) -> bool:
    """Return whether a name of several words says how something is laid out or tagged, or names what is around an
    article.
    """
    if parts[0] == "post":
        return parts[1] not in _POST_PARTS
    return parts[0] in _STATES or (parts[0] in _CONTENT and parts[-1] in _WRAPPERS)
