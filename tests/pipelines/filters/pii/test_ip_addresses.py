"""IP addresses of both versions, and other dotted or colon text."""

import pytest

from pipelines.filters.pii import mask_ip_addresses

IP = "|||IP_ADDRESS|||"


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
