"""E-mail addresses, plain and disguised, and what only resembles them."""

import pytest

from pipelines.filters.pii import mask_emails

EMAIL = "|||EMAIL_ADDRESS|||"


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
