"""IP addresses of machines that people use: IPv4 and IPv6.

Four numbers with dots are a version or a numbered part as often as an address, and the words and signs around them tell
which: "version", "Table", a product's name, a comparison, a package's name before a hyphen, the ending of a file. An
IPv6 address begins in a range that was given out (IANA's registry), which scopes of C++, ratios and times do not.
Loopback, unspecified and broadcast addresses, networks and their masks are nobody's.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence

from pipelines.extract.word_lists import words
from pipelines.filters.pii.spans import Span, without_overlaps

_IPV4 = re.compile(
    r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?!\w)(?!\.\d)", re.ASCII
)
_MIN_LENGTH = len("1.2.3.4")
_BEHIND = 2
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:])[0-9A-Fa-f:]{3,39}(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?!\w)(?!\.\d)",
    re.ASCII,
)
_GIVEN_OUT = re.compile(r"[23][0-9a-f]{3}:|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:|64:ff9b:|::ffff:", re.IGNORECASE)

_NUMBERED = words(
    """
    version versions ver vers v release releases rel rev revision build update upgrade patch firmware driver kernel
    api sdk jdk jre java php python ruby perl node plugin module package library dll lib oracle chrome firefox android
    ios windows macos linux section sections sec chapter chapters clause clauses part parts paragraph para article art
    item items appendix annex figure figures fig figs table tables tab theorem theorems thm lemma lemmas definition
    def corollary proposition prop remark example examples exercise exercises problem equation equations eq eqs
    algorithm step rule rules requirement task test note level class group type ec cas no nr abschnitt kapitel
    abbildung abb tabelle satz versión versiones sección capítulo tabla versione sezione capitolo tabella versie
    hoofdstuk chapitre tableau версия версии раздел глава таблица 版本 バージョン
    """
)
"""Words before versions and numbered parts."""
_LINKING = words("and or from to through und oder bis et ou à y o a e en of i и")
_VERSION_BEFORE = re.compile(r"(?:§\s?|[<>~^!=]=\s?|[<>~^]\s?|[^\W\d_][-/_]v?)$")
_WORD = re.compile(r"[^\W\d_]+")
_LIST_OF_NUMBERS = re.compile(r"[\s\d.:,;#(\[\"'=&/–-]*")
_WINDOW = 72
_PREFIX = re.compile(r"/(\d{1,2})(?![\d/])")
_VERSION_BEHIND = re.compile(r"-?[A-Za-z]|\.[A-Za-z]{1,8}(?![A-Za-z])|\+")
_HEADING_BEHIND = re.compile(r" [A-ZÀ-Þ][a-zß-ÿ]")
_NAME_BEFORE = re.compile(r"(?<![\w./])([A-Z][A-Za-z]+) $")
_MAX_MAJOR_VERSION = 31
_WORDS_BEFORE_ADDRESSES = words(
    """
    from to at is was are ip ipv4 address addresses addr server host dns gateway router subnet network client user
    peer proxy node ping use using the and or via on of for by with see try set visit connect login open add block
    allow deny ban banned trace whois remote local source destination inet port listen bind target nameserver node
    domain posted logged comment your my our his her this that adresse von vom auf und im an bei der die dirección
    desde el la de du le sur
    """
)


def find_ip_addresses(text: str, runs: Sequence[Span], has_colons: bool) -> list[Span]:
    """Return the addresses in `text`: those of IPv4 stand in `runs`; without `has_colons` (`first_look`) none is of
    IPv6.
    """
    found: list[Span] = []
    if has_colons:
        spans = (_trimmed(match) for match in _IPV6.finditer(text))
        found += [span for span in spans if _is_ipv6(text[slice(*span)])]
    of_version_4 = [
        match.span()
        for start, stop in runs
        if stop - start >= _MIN_LENGTH
        for match in _IPV4.finditer(text, start, min(len(text), stop + _BEHIND))
        if _is_ipv4(text, *match.span())
    ]
    return found + without_overlaps(of_version_4, found)


def _is_ipv4(text: str, start: int, stop: int) -> bool:
    octets = list(map(int, text[start:stop].split(".")))
    is_nobodys = octets[0] in (0, 127) or _is_mask(octets) or _is_network(octets, _PREFIX.match(text, stop))
    return not is_nobodys and not _is_version(text, start, stop, octets[0])


def _is_mask(octets: Sequence[int]) -> bool:
    """Return whether the address is a mask: ones, then zeros."""
    inverse = ~int.from_bytes(bytes(octets), "big") & 0xFFFF_FFFF
    return octets[0] == 255 and inverse & (inverse + 1) == 0


def _is_network(octets: Sequence[int], prefix: re.Match[str] | None) -> bool:
    """Return whether the address is a whole network's: nothing but zeros behind a prefix such as `/24`."""
    num_host_bits = 32 - int(prefix[1]) if prefix else 0
    return 0 < num_host_bits < 32 and int.from_bytes(bytes(octets), "big") % (1 << num_host_bits) == 0


def _is_version(text: str, start: int, stop: int, major: int) -> bool:
    before = text[max(0, start - _WINDOW) : start]
    if _VERSION_BEFORE.search(before[-4:]) is not None or _VERSION_BEHIND.match(text, stop) is not None:
        return True
    if _is_numbered(before):
        return True
    is_heading = before[-1:] in ("", "\n") and _HEADING_BEHIND.match(text, stop) is not None
    if is_heading and all(int(octet) <= _MAX_MAJOR_VERSION for octet in text[start:stop].split(".")):
        return True
    name = _NAME_BEFORE.search(before)
    return major <= _MAX_MAJOR_VERSION and name is not None and name[1].lower() not in _WORDS_BEFORE_ADDRESSES


def _is_numbered(before: str) -> bool:
    """Return whether a word for a version or a numbered part stands before a number, or before a list that it is in."""
    stop = len(before)
    for word in reversed(list(_WORD.finditer(before))):
        if _LIST_OF_NUMBERS.fullmatch(before, word.end(), stop) is None:
            return False
        if word[0].lower() not in _LINKING:
            return word[0].lower() in _NUMBERED and before[word.start() - 1 : word.start()] not in (".", "@", "-", "_")
        stop = word.start()
    return False


def _trimmed(match: re.Match[str]) -> Span:
    """Return the match without the colon of a sentence behind it."""
    start, stop = match.span()
    return start, stop - (match[0].endswith(":") and not match[0].endswith("::"))


def _is_ipv6(found: str) -> bool:
    if _GIVEN_OUT.match(found) is None or not any(map(str.isdigit, found)):
        return False
    try:
        socket.inet_pton(socket.AF_INET6, found)
    except OSError:
        return False
    return True
