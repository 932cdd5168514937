"""Masks for personal data: what is masked, what is left alone, and what is counted."""

import gzip

import pyarrow as pa
import pytest

from lm.errors import ConfigurationError
from pipelines.filters.pii import (
    PiiMasker,
    mask_all,
    mask_credit_cards,
    mask_emails,
    mask_ibans,
    mask_ip_addresses,
    mask_phone_numbers,
    mask_street_addresses,
)

EMAIL, PHONE, IP = "|||EMAIL_ADDRESS|||", "|||PHONE_NUMBER|||", "|||IP_ADDRESS|||"


@pytest.mark.parametrize(
    "address",
    ["someone@example.com", "first.last+tag@mail.example.co.uk", "UPPER_case%x@sub-domain.example.org", "a@b.io",
     "jürgen.müller@example.de", "josé@bücher.example", "o'neil@example.ie"],
)  # fmt: skip
def test_emails_are_masked_within_their_sentence(address):
    assert mask_emails(f"Write to {address}, or to <{address}>.") == (f"Write to {EMAIL}, or to <{EMAIL}>.", 2)


@pytest.mark.parametrize("text", ["meet @ noon", "foo@bar", "@handle", "a@", "x @example.com", "3@4 = 7", "me@-x.com"])
def test_what_is_no_email_stays(text):
    assert mask_emails(text) == (text, 0)


def test_neighbours_of_an_email_stay():
    text = "'a@b.co', mailto:c@d.org;e@f.net (g@h.uk) 邮箱i@j.cn。"
    assert mask_emails(text) == (f"'{EMAIL}', mailto:{EMAIL};{EMAIL} ({EMAIL}) 邮箱{EMAIL}。", 5)


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
    "number",
    [
        "2831823829", "(283)-182-3829", "(283) 182 3829", "283-182-3829", "283.182.3829", "(800)5551234",
        "+1 415 555 0132", "1-800-555-0199", "+44 20 7946 0958", "+49 (0)30 901820", "+4930901820", "+33 1 23 45 67 89",
    ],
)  # fmt: skip
def test_phone_numbers_are_masked(number):
    assert mask_phone_numbers(f"Call {number} today, or {number}.") == (f"Call {PHONE} today, or {PHONE}.", 2)


@pytest.mark.parametrize(
    "text",
    ["in 2024-01-02", "at 1700000000", "0.2831823829", "ISBN 978-3-16-148410-0", "555-0123", "1,283,182,382",
     "id a2831823829", "28318238290", "2831823829.5", "+12", "3.14159265358979", "10 000 000 000"],
)  # fmt: skip
def test_other_numbers_are_no_phone_numbers(text):
    assert mask_phone_numbers(text) == (text, 0)


@pytest.mark.parametrize(
    "address",
    ["192.0.2.146", "255.255.255.255", "8.8.8.8", "2001:db8::1", "fe80::1ff:fe23:4567:890a", "::ffff:192.0.2.128",
     "2001:0db8:0000:0000:0000:ff00:0042:8329"],
)  # fmt: skip
def test_ip_addresses_are_masked(address):
    assert mask_ip_addresses(f"From {address}, to {address}.") == (f"From {IP}, to {IP}.", 2)


@pytest.mark.parametrize(
    "text",
    ["256.1.1.1", "1.2.3", "1.2.3.4.5", "version 1.2.3.4", "Section 10.1.2.3", "v1.2.3.4", "12:30:59", "std::vector",
     "00:1A:2B:3C:4D:5E", "a::b", "::", "1:2"],
)  # fmt: skip
def test_other_dotted_or_colon_text_is_no_ip_address(text):
    assert mask_ip_addresses(text) == (text, 0)


@pytest.mark.parametrize(
    "number", ["4111 1111 1111 1111", "4111111111111111", "5500-0000-0000-0004", "378282246310005"]
)
def test_cards_are_masked_only_with_luhns_sum_right(number):
    assert mask_credit_cards(f"Card {number}.") == ("Card |||CREDIT_CARD|||.", 1)
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert mask_credit_cards(f"Card {wrong}.") == (f"Card {wrong}.", 0)


@pytest.mark.parametrize("account", ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NO9386011117947"])
def test_ibans_are_masked_only_with_their_remainder_right(account):
    assert mask_ibans(f"Pay {account} NOW") == ("Pay |||IBAN||| NOW", 1)
    wrong = account[:-1] + str((int(account[-1]) + 1) % 10)
    assert mask_ibans(f"Pay {wrong} NOW") == (f"Pay {wrong} NOW", 0)


@pytest.mark.parametrize(
    "address",
    ["801 Third Street", "66 W. Columbia St.", "12b Old Mill Lane", "450 West 31st Street, Suite 4", "9 Elm Rd"],
)
def test_street_addresses_are_masked(address):
    assert mask_street_addresses(f"At {address}, Springfield") == ("At |||STREET_ADDRESS|||, Springfield", 1)


@pytest.mark.parametrize(
    "text",
    ["12 people on Third Street", "in 1994 we drove down the road", "Main Street 5", "$20 Wall Street", "3 Ways to win",
     "2 District Court", "7 Streets",
     "in 1969 Abbey Road came out", "2019 Capitol Hill"],
)  # fmt: skip
def test_other_numbers_before_names_are_no_street_address(text):
    assert mask_street_addresses(text) == (text, 0)


def test_street_addresses_are_not_found_in_speeches_and_plays(shared_data):
    with gzip.open(shared_data("prose/public_domain.jsonl.gz"), "rt", encoding="utf-8") as lines:
        assert sum(mask_street_addresses(line)[1] for line in lines) == 0


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
