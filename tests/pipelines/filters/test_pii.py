"""Masks for personal data: what is masked, what is left alone, and what is counted."""

import gzip
import random

import pyarrow as pa
import pytest

from lm.errors import ConfigurationError
from pipelines.extract.word_lists import words
from pipelines.filters.pii import (
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
from pipelines.filters.pii.ibans import IBAN_LENGTHS
from pipelines.filters.pii.regions import phone_regions

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


@pytest.mark.parametrize(
    "behind", ["-", "--", "– she", "—", "- she", "_", ":", "/x", ")", "’s", "です", "-bob@example.org"]
)
def test_what_stands_behind_an_email_ends_it(behind):
    masked, count = mask_emails(f"Write to jane.roe@example.com{behind}")
    assert masked.startswith(f"Write to {EMAIL}")
    assert count == (2 if "@" in behind else 1)
    assert "example" not in masked


@pytest.mark.parametrize(
    "text",
    ["logo@2x.png", "Shape@3x.jpg", "icon@1.5x.webp", "numpy@1.2.dev", "left-pad@1.3.next", "node@20.alpine",
     "app@1.0.0.apk",
     "getty@tty1.service", "git@github.com:a/b.git", "user@localhost.localhost"],
)  # fmt: skip
def test_names_of_files_and_versions_are_no_emails(text):
    assert mask_emails(f"Use {text} for it.") == (f"Use {text} for it.", 0)


@pytest.mark.parametrize(
    "address", ["jane.roe(at)example.com", "jane [at] example [dot] com", "jane (AT) mail.example (dot) co.uk"]
)
def test_addresses_in_disguise_are_masked(address):
    assert mask_emails(f"Write to {address}, please.") == (f"Write to {EMAIL}, please.", 1)
    for text in ("We met (at) noon", "look [at] this", "a[at] + b", "values (at x.y) are"):
        assert mask_emails(text) == (text, 0)


@pytest.mark.parametrize("address", ["1234@qq.com", "a@163.com", "x@1and1.com", "a@b.xn--p1ai"])
def test_domains_with_digits_are_domains(address):
    assert mask_emails(f"Mail {address}.") == (f"Mail {EMAIL}.", 1)


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
        "(283)-182-3829", "(283) 182 3829", "283-182-3829", "283.182.3829", "(800)5551234",
        "+1 415 555 0132", "1-800-555-0199", "+44 20 7946 0958", "+49 (0)30 901820", "+4930901820", "+33 1 23 45 67 89",
    ],
)  # fmt: skip
def test_phone_numbers_are_masked(number):
    assert mask_phone_numbers(f"Call {number} today, or {number}.") == (f"Call {PHONE} today, or {PHONE}.", 2)


@pytest.mark.parametrize(
    "number",
    ["415\u2013555\u20130132", "415\u2011555\u20110132", "(415) 555\u20100132", "415 - 555 - 0132",
     "415\u00a0555\u00a00132",
     "415·555·0132", "415/555-0132", "+1.415.555.0132", "+44\u202f20\u202f7946\u202f0958", "+46 (0)8 928 571 38",
     "+49 - (40) - 300 30 - 1141", "+49 (0)40-30030\u20131000", "0049 30 901820", "001-415-555-0132"],
)  # fmt: skip
def test_separators_as_typed_and_as_typeset(number):
    assert mask_phone_numbers(f"Call {number} now.") == (f"Call {PHONE} now.", 1)


@pytest.mark.parametrize(
    "written",
    ["415.555.0132x12", "415-555-0132 x 9", "415-555-0132 ext. 12", "(978)645-9740x11144", "415-555-0132/33",
     "+1 415 555 0132 Ext 7", "415-555-0132 #12", "030 901820-33"],
)  # fmt: skip
def test_an_extension_belongs_to_its_number(written):
    assert mask_phone_numbers(f"Fax {written} now.") == (f"Fax {PHONE} now.", 1)


NATIONAL = [
    ("BE", "0490 75 40 81"), ("DK", "60-56-85-91"), ("DK", "60568591"), ("SE", "08-928 571 38"), ("GB", "07700 900123"),
    ("DE", "030 / 90 18 20"), ("DE", "(0341) 6892826"), ("AT", "0664 123 45 67"), ("CH", "044 668 18 00"),
    ("FR", "01 23 45 67 89"), ("FR", "01.23.45.67.89"), ("IT", "06 1234 5678"), ("ES", "912 345 678"),
    ("PL", "22 123 45 67"), ("PL", "501 234 567"), ("CZ", "601 123 456"), ("HU", "(06) 1 234 567"),
    ("NO", "22 12 34 56"), ("FI", "09 123 4567"), ("NL", "020-1234567"), ("PT", "212 345 678"), ("GR", "210 123 4567"),
    ("TR", "0 (532) 123 45 67"), ("RU", "8 (912) 345-67-89"), ("JP", "03-1234-5678"), ("KR", "010-1234-5678"),
    ("CN", "138 1234 5678"), ("BR", "(11) 91234-5678"), ("AU", "0412 345 678"), ("IN", "098765 43210"), ("IL",
    "050-123-4567"),
]  # fmt: skip


@pytest.mark.parametrize("number", [number for _, number in NATIONAL])
@pytest.mark.parametrize(
    "text",
    ["Phone: {}", "Please call me at {} today.", "Tel. {}", "Fax\n{}", "My number is {}.", "Mobile ({})", "T: {}",
     "Ring {}, or {}", "{} (mobile)", "tel. {} / fax {}", "Telefon {}",
     "Téléphone : {}", "Teléfono: {}", "Тел.: {}", "電話：{}"],
)  # fmt: skip
def test_national_forms_beside_a_phones_word(number, text):
    assert mask_phone_numbers(text.replace("{}", number)) == (text.replace("{}", PHONE), text.count("{}"))


@pytest.mark.parametrize(
    ("number", "regions"),
    [("030 / 90 18 20", ("DE",)), ("01 23 45 67 89", ("FR",)), ("020 7946 0958", ("GB",)), ("(0341) 6892826", ("DE",)),
     ("089/99529727", ("DE",)), ("044 668 18 00", ("CH",)), ("03-1234-5678", ("JP",))],
)  # fmt: skip
def test_a_number_that_the_pages_country_has_needs_no_word(number, regions):
    assert mask_phone_numbers(f"Anna Hill, {number}, Old Mill", regions) == (f"Anna Hill, {PHONE}, Old Mill", 1)


def test_several_numbers_of_a_line_are_several_masks():
    for text, number in [
        ("Tel 020 7946 0958 / 020 7946 0959", 2), ("Tel. 030 123456 0171 1234567", 2),
        ("Call 415-555-0132/415-555-0133", 2),
        ("Tel +49 30 901820 +49 171 1234567", 2), ("Tél 01 23 45 67 89 06 12 34 56 78", 2),
        ("call 415-555-0132 2024-05-01", 1),
        ("Tel 1: 030 123456 Tel 2: 030 123457", 2), ("fax: 0341/6892826, 0341/6892827 or 0341/6892828", 3),
    ]:  # fmt: skip
        masked, count = mask_phone_numbers(text)
        assert (count, masked.count(PHONE)) == (number, number)
        assert not any(
            character.isdigit() for character in masked.replace("2024-05-01", "").replace(" 1:", "").replace(" 2:", "")
        )


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


@pytest.mark.parametrize(
    "text",
    ["in 2024-01-02", "at 1700000000", "0.2831823829", "ISBN 978-3-16-148410-0", "555-0123", "1,283,182,382",
     "id a2831823829", "28318238290", "2831823829.5", "+12", "3.14159265358979", "10 000 000 000"],
)  # fmt: skip
def test_other_numbers_are_no_phone_numbers(text):
    assert mask_phone_numbers(text) == (text, 0)


@pytest.mark.parametrize(
    "address",
    ["192.0.2.146", "255.255.254.253", "8.8.8.8", "2001:db8::1", "fe80::1ff:fe23:4567:890a", "::ffff:192.0.2.128",
     "2001:0db8:0000:0000:0000:ff00:0042:8329"],
)  # fmt: skip
def test_ip_addresses_are_masked(address):
    assert mask_ip_addresses(f"From {address}, to {address}.") == (f"From {IP}, to {IP}.", 2)


@pytest.mark.parametrize(
    ("text", "number"),
    [("host=10.0.0.1", 1), ("10.1.2.3/24", 1), ("10.1.2.0/33", 1), ("10.1.2.0", 1),
     ("1.2.3.4-1.2.3.9", 2), ("[2001:db8::1]:443", 1), ("fe80::1%eth0", 1),
     ("from 2001:db8::1: no answer", 1), ("8.8.8.8, 9.9.9.9", 2), ("From 8.8.8.8 to 9.9.9.9", 2),
     ("if ip == '1.2.3.4'", 1)],
)  # fmt: skip
def test_addresses_within_other_signs(text, number):
    masked, count = mask_ip_addresses(text)
    assert (count, masked.count(IP)) == (number, number)


@pytest.mark.parametrize(
    "text",
    ["10.0.0.0/8", "192.168.4.0/24", "Upgrade from 1.2.3.4 to 1.2.3.5",
     "Version: 1.84.1.0", "Versions 1.2.3.4 and 1.2.3.5", "Versions 1.2.3.4, 1.2.3.5 or 1.2.3.6",
     "nginx-1.2.3.4.tar.gz",
     "requests>=1.2.3.4", "a==1.2.3.4", "Java 1.8.0.201", "Table 2.1.1.3", "Theorem 1.2.3.4", "Chrome/120.0.0.0",
     "1.2.3.4-beta",
     "Acrobat 9.1.0.163", "2.1.1.3 Methods of work", "§ 1.2.3.4", "Kapitel 1.2.3.4", "127.0.0.1", "0.0.0.0",
     "255.255.255.0",
     "255.255.255.255", "0.0.0.255", "abc::def1", "A::B1", "1:2:3:4:5:6:7:8", "::1", "dead::beef1", "12:30:59:11",
     "256.1.1.1", "1.2.3", "1.2.3.4.5", "version 1.2.3.4", "Section 10.1.2.3", "v1.2.3.4", "12:30:59", "std::vector",
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


@pytest.mark.parametrize(
    "number",
    ["501800000009", "5020 0000 0007", "675900000005", "060400000000", "213100000000008", "1800 0000 0000 002",
     "4222222222222", "30569309025904", "3056 930902 5904", "6011\u20131111\u20131111\u20131117",
     "4111\u00a01111\u00a01111\u00a01111",
     "6304 1234 5678 9012 345"],
)  # fmt: skip
def test_cards_of_every_length(number):
    digits = [int(character) for character in number if character.isdigit()]
    total = sum(digits[-1::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    right = number[:-1] + str((digits[-1] - total) % 10)
    assert mask_credit_cards(f"Card {right}.") == ("Card |||CREDIT_CARD|||.", 1)
    wrong = right[:-1] + str((int(right[-1]) + 1) % 10)
    assert mask_credit_cards(f"Card {wrong}.") == (f"Card {wrong}.", 0)


@pytest.mark.parametrize("code", ["8", "123", "1234", "12/27", "09-27"])
def test_a_cards_code_and_date_are_not_its_digits(code):
    assert mask_credit_cards(f"4111 1111 1111 1111 {code}") == (f"|||CREDIT_CARD||| {code}", 1)


@pytest.mark.parametrize(
    "number", ["400638133393", "490154203237518", "353879234252633", "2006381333931", "9783161484100", "100000000008"]
)
def test_numbers_of_goods_are_no_cards(number):
    assert mask_credit_cards(number) == (number, 0)


# The examples of the registry (ISO 13616).
ACCOUNTS = sorted(
    words("""
    AD1200012030200359100100 AE070331234567890123456 AL47212110090000000235698741 AT611904300234573201
    AZ21NABZ00000000137010001944 BA391290079401028494 BE68539007547034 BG80BNBG96611020345678 BH67BMAG00001299123456
    BR1800360305000010009795493C1 BY13NBRB3600900000002Z00AB00 CH9300762011623852957 CR05015202001026284066
    CY17002001280000001200527600 CZ6508000000192000145399 DE89370400440532013000 DK5000400440116243
    DO28BAGR00000001212453611324 EE382200221020145685 EG380019000500000000263180002 ES9121000418450200051332
    FI2112345600000785 FO6264600001631634 FR1420041010050500013M02606 GB29NWBK60161331926819 GE29NB0000000101904917
    GI75NWBK000000007099453 GL8964710001000206 GR1601101250000000012300695 GT82TRAJ01020000001210029690
    HR1210010051863000160 HU42117730161111101800000000 IE29AIBK93115212345678 IL620108000000099999999
    IQ98NBIQ850123456789012 IS140159260076545510730339 IT60X0542811101000000123456 JO94CBJO0010000000000131000302
    KW81CBKU0000000000001234560101 KZ86125KZT5004100100 LB62099900000001001901229114 LC55HEMM000100010012001200023015
    LI21088100002324013AA LT121000011101001000 LU280019400644750000 LV80BANK0000435195001 LY83002048000020100120361
    MC5811222000010123456789030 MD24AG000225100013104168 ME25505000012345678951 MK07250120000058984
    MR1300020001010000123456753 MT84MALT011000012345MTLCAST001S MU17BOMM0101101030300200000MUR NL91ABNA0417164300
    NO9386011117947 PK36SCBL0000001123456702 PL61109010140000071219812874 PS92PALS000000000400123456702
    PT50000201231234567890154 QA58DOHB00001234567890ABCDEFG RO49AAAA1B31007593840000 RS35260005601001611379
    SA0380000000608010167519 SC18SSCB11010000000000001497USD SE4550000000058398257466 SI56263300012039086
    SK3112000000198742637541 SM86U0322509800000000270100 ST23000100010051845310146 SV62CENR00000000000000700025
    TL380080012345678910157 TN5910006035183598478831 TR330006100519786457841326 UA213223130000026007233566001
    VA59001123000012345678 VG96VPVG0000012345678901 XK051212012345678906
""")
)


@pytest.mark.parametrize("account", ACCOUNTS)
def test_accounts_of_the_registry_in_every_manner(account):
    in_fours = [account[start : start + 4] for start in range(0, len(account), 4)]
    for written in (account, account.lower(), *(sign.join(in_fours) for sign in (" ", "-", "\u00a0", "\u2009", "."))):
        for text in ("Pay {} now", "IBAN{}", "({}), thanks", "iban: {}.", "{}"):
            assert mask_ibans(text.format(written)) == (text.format("|||IBAN|||"), 1)
    assert mask_ibans(" ".join(in_fours).lower()) == ("|||IBAN|||", 1)
    assert mask_ibans(f"{account}5") == (f"{account}5", 0)


def test_every_country_of_the_registry_has_its_length():
    lengths = {account[:2]: len(account) for account in ACCOUNTS}
    assert len(lengths) == len(ACCOUNTS) > 70
    assert {country: IBAN_LENGTHS[country] for country in lengths} == lengths
    assert len(IBAN_LENGTHS) >= 85


def test_words_with_a_countrys_letters_are_no_accounts():
    text = "no 12 people and de 99 names of some words; at20 the ends of mt31 as all of it goes on and on and on"
    assert mask_ibans(text) == (text, 0)


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


@pytest.mark.parametrize(
    ("language", "url", "first"),
    [(None, None, "US"), ("de", "https://example.org/", "DE"), ("de", "http://www.example.ch:80/x", "CH"), ("en",
     "https://a.co.uk/", "GB"),
     ("fr", "https://user@a.be/", "BE"), ("en", "https://a.io/", "US"), ("xx", "", "US"), ("ja", "ftp://a.jp", "JP")],
)  # fmt: skip
def test_countries_of_a_page(language, url, first):
    assert phone_regions(language, url)[0] == first


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
