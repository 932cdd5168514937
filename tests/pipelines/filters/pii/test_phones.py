"""Phone numbers in international and national forms, and other numbers."""

import pytest

from pipelines.filters.pii import mask_phone_numbers
from tests.pipelines.filters.pii.numbers import NATIONAL

PHONE = "|||PHONE_NUMBER|||"


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
    ["in 2024-01-02", "at 1700000000", "0.2831823829", "ISBN 978-3-16-148410-0", "555-0123", "1,283,182,382",
     "id a2831823829", "28318238290", "2831823829.5", "+12", "3.14159265358979", "10 000 000 000"],
)  # fmt: skip
def test_other_numbers_are_no_phone_numbers(text):
    assert mask_phone_numbers(text) == (text, 0)
