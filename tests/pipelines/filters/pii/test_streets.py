"""Street addresses, and other numbers before names."""

import gzip

import pytest

from pipelines.filters.pii import mask_street_addresses


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
