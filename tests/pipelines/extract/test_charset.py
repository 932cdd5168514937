"""Whose word a page is decoded by."""

import pytest

from pipelines.extract.charset import charset_of_header, charset_of_meta, decode_html

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


def test_a_page_cut_inside_a_character_keeps_its_charset():
    decoded, by = decode_html(page(JAPANESE, "utf-8")[:-15], "utf-8")
    assert by == "replaced"
    assert JAPANESE[:-5] in decoded


def test_nothing_is_decoded_to_nothing():
    assert decode_html(b"")[0] == ""
    assert decode_html(b"\xef\xbb\xbf", "utf-8") == ("", "bom")


def test_where_a_charset_is_named():
    assert charset_of_header("text/html; Charset = 'UTF-8'") == "UTF-8"
    assert charset_of_header("text/html") is charset_of_header(None) is None
    assert charset_of_meta(b'<META http-equiv="Content-Type" content="text/html; charset=euc-jp">') == "euc-jp"
    assert charset_of_meta(b"<p>charset=utf-8</p>" + b" " * 5000 + b"<meta charset=utf-8>") is None
