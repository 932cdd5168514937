"""Personal data in text, replaced by masks: e-mail, phone numbers, IP addresses, payment cards, bank accounts.

Decisions: candidates are found by patterns whose repeats are bounded, anchored at runs of digits that one pass over the
text finds, so that the time is linear in the text, whatever the text. What a pattern cannot know is checked in code:
octets, Luhn's sum, the IBAN's remainder, numbering plans, the words beside a number. Where two kinds claim the same
characters, the stricter proof has them. A mask never holds what a pattern looks for, so masks that are already there
are not counted. A document's masks depend on that document alone, never on the documents before it.

Covered: e-mail addresses in Latin letters; phone numbers in international form, in North American form, and in the
national forms of other countries (`phones`); IPv4 and IPv6; cards; IBANs; street addresses in English form. Not
covered: names, other postal addresses, national identity numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, ClassVar

import pyarrow as pa

from lm.configuration import Doc, settle, unknown_key
from lm.errors import ConfigurationError
from pipelines.documents.schema import Judgement, Stage, judged
from pipelines.filters.pii.cards import find_cards
from pipelines.filters.pii.emails import find_emails
from pipelines.filters.pii.first_look import FirstLook, first_look, first_looks
from pipelines.filters.pii.ibans import find_ibans
from pipelines.filters.pii.ip_addresses import find_ip_addresses
from pipelines.filters.pii.phone_context import MASK as PHONE_MASK
from pipelines.filters.pii.phones import find_phones
from pipelines.filters.pii.regions import ENGLISH, phone_regions
from pipelines.filters.pii.spans import Span, outside, replaced, without_overlaps
from pipelines.filters.pii.streets import find_streets

MASKS: Mapping[str, str] = MappingProxyType(
    {
        "email": "|||EMAIL_ADDRESS|||",
        "iban": "|||IBAN|||",
        "credit_card": "|||CREDIT_CARD|||",
        "ip": "|||IP_ADDRESS|||",
        "phone": PHONE_MASK,
        "street_address": "|||STREET_ADDRESS|||",
    }
)
"""Kind to its mask."""

_Finder = Callable[[str, FirstLook, Sequence[str], Sequence[Span]], list[Span]]
_FINDERS: Mapping[str, _Finder] = MappingProxyType(
    {
        "email": lambda text, look, regions, taken: find_emails(text) if look.has_at else [],
        "iban": lambda text, look, regions, taken: find_ibans(text, look.runs),
        "credit_card": lambda text, look, regions, taken: find_cards(text, look.runs),
        "ip": lambda text, look, regions, taken: find_ip_addresses(text, look.runs, look.has_colons),
        "street_address": lambda text, look, regions, taken: find_streets(text, look.runs),
        "phone": lambda text, look, regions, taken: find_phones(text, look.runs, regions, taken),
    }
)
"""In the order of proof; a house's number must not lengthen a phone's."""


def mask_all(
    text: str, kinds: Sequence[str] = tuple(MASKS), regions: Sequence[str] = ENGLISH, look: FirstLook | None = None
) -> tuple[str, dict[str, int]]:
    """Return `text` with every one of `kinds` masked, and how many of each; `regions` are its likely countries.

    `look` is that of the text, where it has been looked at already.
    """
    look = look or first_look(text)
    taken: list[Span] = []
    masks: list[tuple[Span, str]] = []
    counts = {}
    for kind, find in _FINDERS.items():
        if kind not in kinds:
            continue
        if taken:
            look = look._replace(runs=outside(text, look.runs, taken))
        found = find(text, look, regions, taken)
        if found:
            found = without_overlaps(found, taken)
            taken = sorted(taken + found)
            masks += [(span, MASKS[kind]) for span in found]
        counts[kind] = len(found)
    return (replaced(text, masks) if masks else text), counts


def _mask(kind: str, text: str, regions: Sequence[str] = ENGLISH) -> tuple[str, int]:
    masked, counts = mask_all(text, (kind,), regions)
    return masked, counts[kind]


def mask_emails(text: str) -> tuple[str, int]:
    """Return `text` with e-mail addresses replaced by `|||EMAIL_ADDRESS|||`, and how many."""
    return _mask("email", text)


def mask_phone_numbers(text: str, regions: Sequence[str] = ENGLISH) -> tuple[str, int]:
    """Return `text` with phone numbers replaced by `|||PHONE_NUMBER|||`, and how many."""
    return _mask("phone", text, regions)


def mask_ip_addresses(text: str) -> tuple[str, int]:
    """Return `text` with IPv4 and IPv6 addresses replaced by `|||IP_ADDRESS|||`, and how many."""
    return _mask("ip", text)


def mask_credit_cards(text: str) -> tuple[str, int]:
    """Return `text` with payment cards (Luhn's sum right) replaced by `|||CREDIT_CARD|||`, and how many."""
    return _mask("credit_card", text)


def mask_ibans(text: str) -> tuple[str, int]:
    """Return `text` with bank account numbers (IBAN, remainder by 97 right) replaced by `|||IBAN|||`, and how many."""
    return _mask("iban", text)


def mask_street_addresses(text: str) -> tuple[str, int]:
    """Return `text` with street addresses in English form replaced by `|||STREET_ADDRESS|||`, and how many."""
    return _mask("street_address", text)


@dataclass(frozen=True, kw_only=True)
class PiiMasker(Stage):
    """Replace personal data in every document; removes none. Adds `num_pii` and a `num_pii_KIND` for each of `kinds`.

    National forms of phone numbers are judged by the document's `language`, where it has that column, and `url`.

    Raises:
        ConfigurationError: at construction, an unknown kind.
    """

    kinds: Annotated[
        tuple[str, ...], Doc("Kinds of data to mask: email, iban, credit_card, ip, phone, street_address.")
    ] = tuple(MASKS)

    name: ClassVar[str] = "pii"

    def __post_init__(self) -> None:
        settle(self, "pii")
        for kind in self.kinds:
            if kind not in MASKS:
                raise ConfigurationError(unknown_key(kind, MASKS, "pii.kinds"))

    def judge(self, batch: pa.RecordBatch) -> Judgement:
        """Mask every text of the batch."""
        texts, urls = batch.column("text").to_pylist(), batch.column("url").to_pylist()
        has_languages = "language" in batch.schema.names
        languages = batch.column("language").to_pylist() if has_languages else [None] * batch.num_rows
        masked = [
            mask_all(text, self.kinds, phone_regions(language, url), look)
            for text, language, url, look in zip(texts, languages, urls, first_looks(batch.column("text")), strict=True)
        ]
        columns = {
            "text": pa.array([text for text, _ in masked], pa.large_string()),
            "num_pii": pa.array([sum(counts.values()) for _, counts in masked], pa.int32()),
        }
        for kind in self.kinds:
            columns[f"num_pii_{kind}"] = pa.array([counts[kind] for _, counts in masked], pa.int32())
        return judged(batch, [None] * batch.num_rows, columns)
