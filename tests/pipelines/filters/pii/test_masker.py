"""All kinds of personal data together, and the stage that masks them."""

import random

import pyarrow as pa
import pytest

from lm.errors import ConfigurationError
from pipelines.filters.pii import MASKS, PiiMasker, mask_all
from tests.pipelines.filters.pii.numbers import ACCOUNTS, NATIONAL

EMAIL, PHONE, IP = "|||EMAIL_ADDRESS|||", "|||PHONE_NUMBER|||", "|||IP_ADDRESS|||"


def test_neighbours_of_numbers_stay():
    text = "tel:283-182-3829, (283) 182 3829; or +1 283 182 3829/http://10.0.0.1:8080/x from [2001:db8::1]:443."
    masked, counts = mask_all(text)
    assert masked == f"tel:{PHONE}, {PHONE}; or {PHONE}/http://{IP}:8080/x from [{IP}]:443."
    assert (counts["phone"], counts["ip"]) == (3, 2)


@pytest.mark.parametrize(
    "text",
    ["on 12/31/1999 and 2024-01-02", "for $1,234,567.89", "ISBN 0-306-40615-2", "ISBN 9783161484100",
     "order 1234567890123", "100-200-3000 pages", "Release 1.2.3.4"],
)  # fmt: skip
def test_dates_prices_and_numbers_of_books_are_no_personal_data(text):
    assert mask_all(text)[0] == text


def test_masks_already_there_are_not_counted():
    text = f"The page reads {EMAIL} and {PHONE} and {IP}; mine is me@example.com."
    masked, counts = mask_all(text)
    assert masked == f"The page reads {EMAIL} and {PHONE} and {IP}; mine is {EMAIL}."
    assert sum(counts.values()) == counts["email"] == 1
    assert mask_all(masked) == (masked, dict.fromkeys(counts, 0))


@pytest.mark.parametrize(
    "text",
    ["My driver's license number is 2270-66-1551", "SSN: 460-89-9847", "Order 415-555-0132", "ISBN 3540123456",
     "ISBN: 0-306-40615-2", "ISBN 0 306 40615 2", "The sizes are 200 400 1500 mm",
     "Modes: 800 600 1024 and 640 480 2560.",
     "A town of 1 234 567 people", "API calls 1000000", "made 2 000 000 calls",
     "https://doi.org/10.1073/pnas.2115629119",
     "id=2831823829", "/item/2831823829/", "from 1998-2004 we called", "call on 12.05.2024 or 2024-05-12",
     "phone hours 9-17", "01 02 03 04 05 06 07 08 09 10 11 12", "In Tel Aviv 1234567 people", "US$ 415 555 0132",
     "2831823829 %", "EAN 4006381333931", "SIRET 732 829 320 00074", "account no. 12345678", "invoice 030 123456"],
)  # fmt: skip
def test_numbers_of_other_things_stay(text):
    assert mask_all(text)[0] == text


def test_masking_twice_masks_once():
    dice = random.Random(1)
    numbers = (
        [number for _, number in NATIONAL] + ACCOUNTS + ["a@b.de", "192.0.2.7", "2001:db8::1", "4111 1111 1111 1111"]
    )
    for _ in range(2000):
        first, second, third = dice.choices(numbers, k=3)
        text = f"Tel. {first}, or {second}\nAnna Hill, 12 Mill Lane: {third} (office)"
        masked, _ = mask_all(text)
        assert mask_all(masked) == (masked, dict.fromkeys(MASKS, 0)), text


def test_the_stage_knows_the_language_and_the_domain():
    schema = pa.schema([(name, pa.string()) for name in ("doc_id", "url", "language")] + [("text", pa.large_string())])
    rows = [("de", "https://a.de/"), ("en", "https://a.com/"), ("en", "https://a.de/")]
    batch = pa.RecordBatch.from_pylist(
        [{"doc_id": "x", "url": url, "language": code, "text": "Anna, 0711 97810"} for code, url in rows], schema
    )
    assert PiiMasker()(batch)[0].column("num_pii_phone").to_pylist() == [1, 0, 1]


def test_the_stricter_kinds_come_first():
    masked, counts = mask_all("4111111111111111 and DE89 3704 0044 0532 0130 00 and 283-182-3829")
    assert masked == f"|||CREDIT_CARD||| and |||IBAN||| and {PHONE}"
    assert counts == {"email": 0, "iban": 1, "credit_card": 1, "ip": 0, "phone": 1, "street_address": 0}


def test_the_stage_replaces_text_removes_nothing_and_counts_by_kind():
    schema = pa.schema([("doc_id", pa.string()), ("url", pa.string()), ("text", pa.large_string())])
    texts = ["mail me@example.com or me@example.org", "nothing here", "call 283-182-3829"]
    batch = pa.RecordBatch.from_pylist([{"doc_id": str(i), "url": "u", "text": t} for i, t in enumerate(texts)], schema)
    kept, removed = PiiMasker(kinds=("email", "phone"))(batch)
    assert removed.num_rows == 0
    assert kept.column("text").to_pylist() == [f"mail {EMAIL} or {EMAIL}", "nothing here", f"call {PHONE}"]
    assert kept.column("num_pii").to_pylist() == [2, 0, 1]
    assert kept.column("num_pii_email").to_pylist() == [2, 0, 0]
    assert kept.schema.field("num_pii").type == pa.int32()
    assert "num_pii_ip" not in kept.schema.names
    with pytest.raises(ConfigurationError, match="did you mean 'email'"):
        PiiMasker(kinds=("e-mail",))
