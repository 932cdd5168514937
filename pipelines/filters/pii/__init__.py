"""Personal data in text, replaced by masks: e-mail, phone numbers, IP addresses, payment cards, bank accounts.

from pipelines.filters.pii import PiiMasker, mask_all
"""

from pipelines.filters.pii.masker import (
    MASKS,
    PiiMasker,
    mask_all,
    mask_credit_cards,
    mask_emails,
    mask_ibans,
    mask_ip_addresses,
    mask_phone_numbers,
    mask_street_addresses,
)

__all__ = [
    "MASKS",
    "PiiMasker",
    "mask_all",
    "mask_credit_cards",
    "mask_emails",
    "mask_ibans",
    "mask_ip_addresses",
    "mask_phone_numbers",
    "mask_street_addresses",
]
