"""Codecs as the web has them: tables, and bytes outside of them."""

import pytest

from pipelines.extract.web_codecs import codec_of_label, decode, decode_damaged


@pytest.mark.parametrize(
    ("label", "stored", "text"),
    [
        ("shift_jis", "髙橋①㈱".encode("cp932"), "髙橋①㈱"),
        ("EUC-JP", b"\xad\xa1\xad\xea\xf9\xa1\xa1\xc1\xa1\xdd", "①㈱纊～－"),
        ("iso-2022-jp", b"a\x1b$B-!$3\x1b(I1\x1b(Bz", "a①こｱz"),
        ("iso-2022-jp", "日本語".encode("iso2022_jp"), "日本語"),
        ("euc-kr", "똠방각하".encode("cp949"), "똠방각하"),
        ("gb2312", "镕㐀𠀀".encode("gb18030") + b"\x80\xa8\xbc", "镕㐀𠀀€ḿ"),
        ("big5", "啲嘅佢".encode("big5hkscs") + b"\xa3\xe1\xc6\xcf", "啲嘅佢€に"),
        ("tis-620", "ภาษา“…".encode("cp874"), "ภาษา“…"),
        ("koi8-u", b"\xae\xbe\xa6", "ўЎі"),
        ("x-mac-cyrillic", "Привет".encode("mac-cyrillic"), "Привет"),
        ("hz-gb-2312", "中文".encode("hz"), "中文"),
        ("iso-8859-1", b"\x80\x81\x9d", "€\x81\x9d"),
        ("windows-1253", b"\xe1\x81", "α\x81"),
    ],
)
def test_tables_of_the_web(label, stored, text):
    assert decode(stored, codec_of_label(label)) == text


@pytest.mark.parametrize(
    ("codec", "lead"),
    [
        ("cp932", b"\x81"),
        ("cp949", b"\xc9"),
        ("gb18030", b"\xff"),
        ("big5hkscs", b"\x81"),
        ("euc_jp", b"\xa4"),
        ("cp1253", b"\xff"),
    ],
)
def test_a_byte_outside_its_table_is_one_replacement_and_takes_nothing_with_it(codec, lead):
    assert decode(lead + b"<p>", codec) is None
    assert decode_damaged(b"<p>" + lead + b"<p>", codec) == "<p>\ufffd<p>"


def test_every_byte_of_a_windows_page_is_a_character():
    for label in ("windows-1250", "windows-1251", "windows-1252", "windows-1254", "windows-1256", "windows-1258"):
        assert len(decode(bytes(range(256)), codec_of_label(label))) == 256
