"""Personal data in text, replaced by masks: e-mail, phone numbers, IP addresses, payment cards, bank accounts.

Decisions: each kind is one regular expression whose repeats are bounded and whose start is anchored by what may not
stand before it, so that the time is linear in the text, whatever the text. What a pattern cannot know is checked in
code: octets, Luhn's sum, the IBAN's remainder. A mask never matches a pattern again, so masking is idempotent and masks
already there are not counted. A text's masks depend on that text alone, never on the documents before it.

Covered: e-mail addresses in Latin letters; phone numbers of the North American plan in their common forms, others only
with their `+` prefix; IPv4 and IPv6; street addresses in English form. Not covered: names, other postal addresses,
national identity numbers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, ClassVar

import pyarrow as pa

from lm.configuration import Doc, settle, unknown_key
from lm.errors import ConfigurationError
from pipelines.documents.schema import Judgement, Stage, judged

_LETTERS = "A-Za-zÀ-ÖØ-öø-ɏ"  # Latin; other scripts are often written up against an address without a space
_EMAIL = re.compile(
    rf"(?<![{_LETTERS}0-9._%+-])[{_LETTERS}0-9_%+-][{_LETTERS}0-9._%+'-]{{0,63}}@"
    rf"(?:[{_LETTERS}0-9](?:[{_LETTERS}0-9-]{{0,62}})\.){{1,8}}[A-Za-z]{{2,24}}(?![A-Za-z0-9-])"
)

# Each of these finds fast that a text cannot hold a kind: a pattern that starts with a class of characters, unlike one
# that starts with a look behind, is searched by a tight loop.
_MAYBE_IPV4 = re.compile(r"\d\.\d{1,3}\.\d", re.ASCII)
_MAYBE_IPV6 = re.compile(r":[0-9A-Fa-f]{0,4}:")
_MAYBE_PHONE = re.compile(r"\d(?:[ .\-()]{0,3}\d){7}", re.ASCII)
_MAYBE_CARD = re.compile(r"\d(?:[ \-]?\d){12}", re.ASCII)
_MAYBE_IBAN = re.compile(r"[A-Z][A-Z]\d\d")
_MAYBE_STREET = re.compile(r"\d[A-Za-z]{0,2} [A-Z0-9]")

# All of them but IPv6's hold a digit and nothing that is not in, or right beside, one of these runs: so one pass over
# the text finds where to look for five kinds.
_DIGITS = re.compile(r"\d[\d .\-()]*")
_BEFORE_DIGITS, _BEHIND_DIGITS = len("GB"), len("bd A")

_IPV4 = re.compile(
    r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w-])(?!\.\d)", re.ASCII
)
_IPV6 = re.compile(
    r"(?<![\w:.])(?=[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:])[0-9A-Fa-f:]{3,39}(?:(?<=:)(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])(?!\.\d)",
    re.ASCII,
)
_NUMBERING = re.compile(
    r"(?:version|release|build|section|chapter|clause|firmware|ver\.|sec\.|§)\s{0,2}$", re.IGNORECASE
)

_PHONE = re.compile(
    r"(?<![\w+])(?<!\d[.\-/,])(?:"
    r"\+(?:[ .\-()]{0,2}\d){8,15}"  # international: + and 8 to 15 digits (E.164)
    r"|(?:\+?1[ .\-]?)?(?:\([2-9]\d\d\)[ .\-]{0,2}|[2-9]\d\d[ .\-]?)\d{3}[ .\-]?\d{4}"  # North American
    r")(?![\w])(?![.\-/]\d)",
    re.ASCII,
)

_CARD = re.compile(
    r"(?<![\w.])(?<!\d-)(?:"
    r"[2-6]\d{12,18}"
    r"|[2-6]\d{3}([ \-])\d{4}\1\d{4}\1\d{1,7}"
    r"|3\d{3}([ \-])\d{6}\2\d{5}"  # American Express
    r")(?![\w])(?![.\-]\d)",
    re.ASCII,
)

_STREET = re.compile(  # its first digit comes first, for the search, and then what may not stand before and behind it
    r"\d(?<![\w.,$£€\-]\d)(?!(?:(?<=1)9|(?<=2)0)\d\d )\d{0,4}[A-Za-z]? (?:[NSEW]\.? |(?:North|South|East|West) )?"
    r"(?:(?:[A-Z][a-z]{1,20}|\d{1,3}(?:st|nd|rd|th)) ){1,3}"
    r"(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr|Boulevard|Blvd|Square|Terrace|Parkway|Pkwy|Highway|Hwy|Crescent"
    r"|Way|Place|Row|Walk|Hill)\b(?:\.(?=[ ,]))?(?:,? (?:Apt|Suite|Unit|Ste|Floor)\.? ?[A-Z0-9]{1,5}\b)?"
)

_IBAN_LENGTHS: Mapping[int, str] = MappingProxyType(
    {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL",
        19: "MK SI",
        20: "AT BA EE KZ LT LU",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS",
        23: "AE GI IL TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VA",
        25: "PT",
        26: "IS TR",
        27: "FR GR IT MC SM",
        28: "AL AZ CY DO GT HU LB PL",
        29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
    }
)
"""Length of an IBAN to the countries that use it (ISO 13616 registry)."""

_IBAN = re.compile(
    r"(?<![A-Za-z0-9])(?=[A-Z]{2}\d\d)(?:"
    + "|".join(
        rf"(?:{countries.replace(' ', '|')})\d\d(?: ?[A-Z0-9]){{{length - 4}}}"
        for length, countries in _IBAN_LENGTHS.items()
    )
    + r")(?![A-Za-z0-9])"
)


def mask_emails(text: str) -> tuple[str, int]:
    """`text` with e-mail addresses replaced by `|||EMAIL_ADDRESS|||`, and how many."""
    if "@" not in text:
        return text, 0
    return _EMAIL.subn("|||EMAIL_ADDRESS|||", text)


def mask_phone_numbers(text: str) -> tuple[str, int]:
    """`text` with North American and international phone numbers replaced by `|||PHONE_NUMBER|||`, and how many."""
    if _MAYBE_PHONE.search(text) is None:
        return text, 0
    return _PHONE.subn("|||PHONE_NUMBER|||", text)


def mask_ip_addresses(text: str) -> tuple[str, int]:
    """`text` with IPv4 and IPv6 addresses replaced by `|||IP_ADDRESS|||`, and how many.

    Four numbers after a word such as "version" or "section" are left: they number something else.
    """
    mask = "|||IP_ADDRESS|||"
    text, num_v6 = _substitute(_IPV6, mask, text, _is_ipv6) if _MAYBE_IPV6.search(text) else (text, 0)
    text, num_v4 = _substitute(_IPV4, mask, text, _is_no_numbering) if _MAYBE_IPV4.search(text) else (text, 0)
    return text, num_v4 + num_v6


def mask_credit_cards(text: str) -> tuple[str, int]:
    """`text` with payment cards (13 to 19 digits, Luhn's sum) replaced by `|||CREDIT_CARD|||`, and how many."""
    if _MAYBE_CARD.search(text) is None:
        return text, 0
    return _substitute(_CARD, "|||CREDIT_CARD|||", text, _passes_luhn)


def mask_ibans(text: str) -> tuple[str, int]:
    """`text` with bank account numbers (IBAN, remainder by 97 right) replaced by `|||IBAN|||`, and how many."""
    if _MAYBE_IBAN.search(text) is None:
        return text, 0
    return _substitute(_IBAN, "|||IBAN|||", text, _passes_mod_97)


def mask_street_addresses(text: str) -> tuple[str, int]:
    """`text` with street addresses in English form replaced by `|||STREET_ADDRESS|||`, and how many.

    A house number, one to three names in capitals, a word for a street, and a flat: "801 Third Street, Suite 4". What
    may be a year is taken for one: "2019 Capitol Hill".
    """
    if _MAYBE_STREET.search(text) is None:
        return text, 0
    return _STREET.subn("|||STREET_ADDRESS|||", text)


MASKERS: Mapping[str, Callable[[str], tuple[str, int]]] = MappingProxyType(
    {
        "email": mask_emails,
        "iban": mask_ibans,
        "credit_card": mask_credit_cards,
        "ip": mask_ip_addresses,
        "phone": mask_phone_numbers,
        "street_address": mask_street_addresses,
    }
)
"""Kind to its function, the stricter proof first: a card's digits must not be taken for a phone number."""


def mask_all(text: str, kinds: tuple[str, ...] = tuple(MASKERS)) -> tuple[str, dict[str, int]]:
    """`text` with every one of `kinds` masked, and how many of each."""
    counts = {}
    digits = _around_digits(text)  # masks hold no digits, so what the text has not at first it never has
    for kind, masker in MASKERS.items():
        if kind in kinds:
            text, counts[kind] = masker(text) if _may_hold(kind, text, digits) else (text, 0)
    return text, counts


def _around_digits(text: str) -> str:
    """What stands in `text` in and around runs of digits, a line each."""
    spans = (match.span() for match in _DIGITS.finditer(text))
    return "\n".join([text[max(0, start - _BEFORE_DIGITS) : stop + _BEHIND_DIGITS] for start, stop in spans])


def _may_hold(kind: str, text: str, digits: str) -> bool:
    if kind == "ip":
        return _MAYBE_IPV4.search(digits) is not None or _MAYBE_IPV6.search(text) is not None
    clue = _CLUES.get(kind)
    return clue is None or clue.search(digits) is not None


_CLUES: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {"iban": _MAYBE_IBAN, "credit_card": _MAYBE_CARD, "phone": _MAYBE_PHONE, "street_address": _MAYBE_STREET}
)


@dataclass(frozen=True, kw_only=True)
class PiiMasker(Stage):
    """Replace personal data in every document; removes none. Adds `num_pii` and a `num_pii_KIND` for each of `kinds`.

    Raises:
        ConfigurationError: at construction, an unknown kind.
    """

    kinds: Annotated[tuple[str, ...], Doc("What is masked: email, iban, credit_card, ip, phone, street_address.")] = (
        tuple(MASKERS)
    )

    name: ClassVar[str] = "pii"

    def __post_init__(self) -> None:
        settle(self, "pii")
        for kind in self.kinds:
            if kind not in MASKERS:
                raise ConfigurationError(unknown_key(kind, MASKERS, "pii.kinds"))

    def judge(self, batch: pa.RecordBatch) -> Judgement:
        """Mask every text of the batch."""
        masked = [mask_all(text, self.kinds) for text in batch.column("text").to_pylist()]
        columns = {
            "text": pa.array([text for text, _ in masked], pa.large_string()),
            "num_pii": pa.array([sum(counts.values()) for _, counts in masked], pa.int32()),
        }
        for kind in self.kinds:
            columns[f"num_pii_{kind}"] = pa.array([counts[kind] for _, counts in masked], pa.int32())
        return judged(batch, [None] * batch.num_rows, columns)


def _substitute(
    pattern: re.Pattern[str], mask: str, text: str, accept: Callable[[re.Match[str]], bool]
) -> tuple[str, int]:
    """Replace the matches that `accept` agrees to; returns the text and their number."""
    count = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal count
        if not accept(match):
            return match[0]
        count += 1
        return mask

    return pattern.sub(replace, text), count


def _is_no_numbering(match: re.Match[str]) -> bool:
    before = match.string[max(0, match.start() - 12) : match.start()]
    return _NUMBERING.search(before) is None


def _is_ipv6(match: re.Match[str]) -> bool:
    """A whole IPv6 address with a digit and two groups: `std::vector`, `::1`, 12:30 and MAC addresses are none."""
    found = match[0]
    groups = [group for group in found.split(":") if group]
    if len(groups) < 2 or not any(map(str.isdigit, found)):
        return False
    try:
        ipaddress.IPv6Address(found)
    except ValueError:
        return False
    return True


def _passes_luhn(match: re.Match[str]) -> bool:
    """Luhn's sum: from the right every second digit doubled, its digits added; the total divides by ten."""
    digits = [int(character) for character in match[0] if character.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _passes_mod_97(match: re.Match[str]) -> bool:
    """ISO 7064: the first four characters moved to the end, letters as 10 to 35, leaves 1 when divided by 97."""
    compact = match[0].replace(" ", "")
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1
