"""Account numbers of the whole IBAN registry, and words that resemble them."""

import pytest

from pipelines.filters.pii import mask_ibans
from pipelines.filters.pii.ibans import IBAN_LENGTHS
from tests.pipelines.filters.pii.numbers import ACCOUNTS


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
