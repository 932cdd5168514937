"""Payment cards with a right check digit, and other long numbers."""

import pytest

from pipelines.filters.pii import mask_credit_cards


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
