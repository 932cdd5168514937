"""E-mail addresses in Latin letters.

An address ends where its top-level domain does, whatever follows: a hyphen, a dash or a letter of another script. Names
of images in two sizes (`logo@2x.png`), versions of packages (`numpy@1.2.dev`), units of a system (`user@1.service`) and
addresses of code (`git@github.com`) have an address's form and are none. "jane [at] example [dot] com" is one in
disguise.
"""

from __future__ import annotations

import re

from pipelines.extract.word_lists import words
from pipelines.filters.pii.spans import Span

_MAX_USER = 64
_LETTERS = "A-Za-zÀ-ÖØ-öø-ɏ"  # Latin; other scripts are often written up against an address without a space
_ADDRESS = re.compile(
    rf"[{_LETTERS}0-9_%+-][{_LETTERS}0-9._%+'-]{{0,{_MAX_USER - 1}}}@"
    rf"((?:[{_LETTERS}0-9](?:[{_LETTERS}0-9-]{{0,62}})\.){{1,8}})(xn--[A-Za-z0-9-]{{2,59}}|[A-Za-z]{{2,24}})(?![A-Za-z0-9])"
)
_FILE_NAMES = words(
    """
    png jpg jpeg gif svg webp avif bmp ico tif tiff css scss less js mjs cjs jsx tsx map json yaml yml toml xml html
    htm php asp aspx jsp txt md pdf doc docx xls xlsx ppt pptx mp3 mp4 webm wav ogg gz tgz bz2 xz whl jar exe dll
    apk aab deb rpm dmg msi iso img bin heic avi mkv flac ttf otf woff eot psd csv tsv sql java kt cpp hpp lua bat
    service socket timer target mount slice device conf cfg ini lock log bak tmp local localhost internal
    """
)
_AFTER_A_VERSION = words(
    """
    dev next beta alpha rc canary post final latest stable nightly alpine slim snapshot
    """
)
_VERSION = re.compile(r"v?\d{1,4}\.(?:\d{1,4}\.)*")
_EMAIL = re.compile(rf"(?<![{_LETTERS}0-9._%+-])(?:{_ADDRESS.pattern})")
_DISGUISED = re.compile(
    rf"(?<![{_LETTERS}0-9._%+-])[{_LETTERS}0-9_%+-][{_LETTERS}0-9._%+'-]{{0,63}} ?[\[(] ?at ?[\])] ?"
    rf"(?:[{_LETTERS}0-9][{_LETTERS}0-9-]{{0,62}}(?:\.| ?[\[(] ?dot ?[\])] ?)){{1,8}}[A-Za-z]{{2,24}}(?![A-Za-z0-9])",
    re.IGNORECASE,
)
_DISGUISES = ("(at)", "[at]", "(AT)", "[AT]", "( at )", "[ at ]")  # substrings are searched faster than a pattern
_CODE_USERS = frozenset({"git", "hg", "svn"})


def find_emails(text: str) -> list[Span]:
    """Return the e-mail addresses in `text`."""
    found = _find_disguised(text)
    match = _next_address(text, 0)
    while match is not None:
        if _is_address(match):
            found.append(match.span())
        # Another address may follow at once, after a hyphen.
        match = _ADDRESS.match(text, match.end()) or _next_address(text, match.end())
    return sorted(found)


def _next_address(text: str, position: int) -> re.Match[str] | None:
    """Return the first address from `position` on; what is too far before an `@` need not be searched."""
    at = text.find("@", position)
    return None if at < 0 else _EMAIL.search(text, max(position, at - _MAX_USER))


def _find_disguised(text: str) -> list[Span]:
    """Return addresses written with "(at)" or "[at]", and perhaps "(dot)"."""
    if not any(disguise in text for disguise in _DISGUISES):
        return []
    return [match.span() for match in _DISGUISED.finditer(text)]


def _is_address(match: re.Match[str]) -> bool:
    domain, top = match[1], match[2].lower()
    is_version = _VERSION.fullmatch(domain) is not None and (domain.count(".") > 1 or top in _AFTER_A_VERSION)
    user = match[0].partition("@")[0]
    return top not in _FILE_NAMES and not is_version and user not in _CODE_USERS
