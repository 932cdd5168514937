"""The choice of a page's charset."""

import pytest

from pipelines.extract.charset import decode_html, decode_text

FRENCH = "Où sont les élèves ? À la fenêtre, là-bas."
JAPANESE = "日本語の文章を読む。吾輩は猫である。名前はまだ無い。"
RUSSIAN = "Привет, мир. Как дела сегодня вечером в городе?"


def page(text, charset, meta=None):
    declared = f'<meta charset="{meta}">' if meta else ""
    return f"<html><head>{declared}</head><p>{text}</p></html>".encode(charset)


@pytest.mark.parametrize(
    ("body", "http", "text", "outcome"),
    [
        (page(FRENCH, "utf-8-sig"), "iso-8859-1", FRENCH, "bom"),
        (page(FRENCH, "utf-16"), "utf-8", FRENCH, "bom"),
        (page(FRENCH, "utf-8"), "utf-8", FRENCH, "http"),
        (page(FRENCH, "cp1252"), "ISO-8859-1", FRENCH, "http"),
        (page(FRENCH, "cp1252", "latin1"), None, FRENCH, "meta"),
        (page(JAPANESE, "euc_jp", "EUC-JP"), "utf-8", JAPANESE, "meta"),
        (page(JAPANESE, "shift_jis"), "shift_jis", JAPANESE, "http"),
        (page(FRENCH, "utf-8", "utf-16"), None, FRENCH, "meta"),
        (page(FRENCH, "utf-8", "iso-8859-1"), "iso-8859-1", FRENCH, "utf-8"),
        (page(JAPANESE, "utf-8"), "gbk", JAPANESE, "utf-8"),
        (page("\u53f0 fences", "big5", "big5"), None, "\u53f0 fences", "meta"),
        (page(JAPANESE, "iso2022_jp", "iso-2022-jp"), None, JAPANESE, "meta"),
        (page(JAPANESE, "iso2022_jp"), None, JAPANESE, "detected"),
        (page("plain", "ascii"), "utf-16", "plain", "utf-8"),
        (page(FRENCH, "utf-8"), None, FRENCH, "utf-8"),
        (page(RUSSIAN, "cp1251"), None, RUSSIAN, "detected"),
        (page(RUSSIAN, "cp1251"), "utf-8", RUSSIAN, "detected"),
        (page(FRENCH, "utf-16-le"), "utf-8", FRENCH, "detected"),
        (page(FRENCH, "utf-16-be"), None, FRENCH, "detected"),
        (page("plain", "ascii"), "klingon", "plain", "utf-8"),
    ],
)
def test_the_chain(body, http, text, outcome):
    decoded, by = decode_html(body, http)
    assert f"<p>{text}</p>" in decoded
    assert by == outcome


def test_a_few_wrong_bytes_do_not_turn_a_page_into_noise():
    body = page(RUSSIAN, "utf-8").replace("мир".encode(), b"\xd0")
    decoded, by = decode_html(body, "utf-8")
    assert by == "replaced"
    assert RUSSIAN.replace("мир", "\ufffd") in decoded


@pytest.mark.parametrize("cut", [b"\xc3", b"\xe2\x80", b"\xf0\x9f", b"\xf0\x9f\x98", b"\x98\x80"])
@pytest.mark.parametrize(
    ("http", "meta"),
    [("utf-8", "utf-8"), ("utf-8", None), (None, "utf-8"), ("utf-8", "iso-8859-1"), ("latin1", "utf8")],
)
def test_a_cut_description_leaves_a_declared_page_its_charset(cut, http, meta):
    """English has few characters beyond ASCII, and the same cut text often stands in three elements."""
    declared = f'<meta charset="{meta}">'.encode() if meta else b""
    text = "<p>It’s the farmer’s fence.</p>"
    for times in (1, 3):
        decoded, by = decode_html(declared + (b'<meta content="A fenc' + cut + b'">') * times + text.encode(), http)
        assert (by, decoded[-len(text) :]) == ("replaced", text)


@pytest.mark.parametrize(
    ("cut", "behind"),
    [
        (b"farm\xc3", b" and so on"),  # a capital letter in mid-word, without its second byte
        (b"farm \xe2\x80", b" and so on"),  # a typographic mark
        (b"farm \xf0\x9f", b" and so on"),  # emoji
        (b"farm \xf0\x9f\x98", b" and so on"),
        *((b"farm " + cut, b"") for cut in (b"\xc3", b"\xe4", b"\xf1", b"\xe4\xbd", b"\xf1\x80", b"\xf1\x80\x80")),
    ],
)
def test_a_cut_character_alone_is_a_sign_of_utf_8_where_it_was_declared(cut, behind):
    decoded, by = decode_html(b"<p>The fences of the " + cut + behind, "utf-8")
    assert by == "replaced"
    assert decoded.endswith("\ufffd" + behind.decode())


@pytest.mark.parametrize("text", ["caf\xe9", "\xe9t\xe9 \x93ici\x94", "na\xefve \x96 and so on", "It\x92s"])
def test_a_page_that_is_falsely_called_utf_8_is_detected(text):
    body = b"<p>" + text.encode("latin-1") + b" stands here, and there is more of it in the next line.</p>"
    decoded, by = decode_html(body, "utf-8")
    assert by == "detected"
    assert body.decode("cp1252") == decoded


def test_an_undeclared_page_needs_more_whole_characters_than_wrong_ones():
    body = ("é" * 8).encode() + b"\xff\xff"
    assert decode_html(body) == ("é" * 8 + "\ufffd" * 2, "replaced")
    assert decode_html(body[2:])[0] != "é" * 7 + "\ufffd" * 2


def test_a_page_cut_inside_a_character_keeps_its_charset():
    decoded, by = decode_html(page(JAPANESE, "utf-8")[:-15], "utf-8")
    assert by == "replaced"
    assert JAPANESE[:-5] in decoded


def test_nothing_is_decoded_to_nothing():
    assert decode_html(b"")[0] == ""
    assert decode_html(b"\xef\xbb\xbf", "utf-8") == ("", "bom")


def test_markup_in_a_text_declares_nothing():
    body = f"Write <meta charset=koi8-r> there. {FRENCH}".encode("cp1252")
    assert decode_text(body, "iso-8859-1") == (body.decode("cp1252"), "http")
    assert decode_html(body, None)[1] == "meta"
