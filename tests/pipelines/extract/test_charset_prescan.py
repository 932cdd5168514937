"""The charset that a page declares in its markup."""

import pytest

from pipelines.extract.charset_prescan import declared_charset


@pytest.mark.parametrize(
    ("page", "label"),
    [
        (b'<META http-equiv="Content-Type" content="text/html; charset=euc-jp">', "euc-jp"),
        (b"<meta content='text/html; charset=\"big5\"' http-equiv=Content-Type>", "big5"),
        (b'<!-- <meta charset="koi8-r"> --><meta charset="windows-1254">', "windows-1254"),
        (b"<!--><meta charset=utf-8>", "utf-8"),
        (b'<meta name=description content="all of charset=koi8-r"><meta charset=gbk>', "gbk"),
        (b'<a title="<meta charset=koi8-r>"><meta charset=utf-8>', "utf-8"),
        (b"<meta charset=klingon><meta charset='utf-8'/>", "utf-8"),
        (b"<META\n/CharSet = utf-8 >", "utf-8"),
        (b"<metal charset=koi8-r>", None),
        (b"<!doctype charset=koi8-r><?x charset=koi8-r><p>charset=utf-8</p>", None),
        (b'<?xml version="1.0" encoding="windows-1251"?><html>', "windows-1251"),
        (b'<?xml version="1.0" encoding="koi8-r"?><meta charset=utf-8>', "utf-8"),
        (b"<p>charset=utf-8</p>" + b" " * 5000 + b"<meta charset=utf-8>", None),
        (b"<!-- <meta charset=utf-8>", None),
    ],
)
def test_what_a_page_declares(page, label):
    assert declared_charset(page) == label
