"""HTTP responses: heads, chunks, content encodings, and headers that lie about them."""

import gzip
import random
import zlib

import pyarrow as pa
import pytest

from pipelines.extract.content_type import ContentType
from pipelines.extract.http_response import BodyError, decode_body, join_chunks, parse_head
from tests.pipelines.warc_making import page, response

PAGE = page(1)
ENCODINGS = ("gzip", "deflate", "br", "zstd")


def packed(codec, data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def body_of(block, max_bytes=1 << 20):
    return decode_body(block, parse_head(block), max_bytes)


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(PAGE)),
        ("x-gzip", gzip.compress(PAGE)),
        ("deflate", zlib.compress(PAGE)),
        ("deflate", raw_deflate(PAGE)),
        ("br", packed("brotli", PAGE)),
        ("zstd", packed("zstd", PAGE)),
        ("deflate, gzip", gzip.compress(zlib.compress(PAGE))),
        ("identity", PAGE),
        ("gzip", gzip.compress(PAGE[:200]) + gzip.compress(PAGE[200:])),
        ("gzip", gzip.compress(PAGE) + bytes(64)),
        ("gzip", zlib.compress(PAGE)),
        ("zstd", zlib.compress(PAGE)),
        ("zstd", packed("zstd", PAGE[:200]) + packed("zstd", PAGE[200:])),
        *((encoding, gzip.compress(PAGE)) for encoding in ("deflate", "br", "zstd")),
        ("gzip, gzip", gzip.compress(PAGE)),
        *((encoding, PAGE) for encoding in ENCODINGS),
    ],
)
def test_content_encodings_also_where_the_header_lies(encoding, body):
    assert body_of(response(body, headers=[f"Content-Encoding: {encoding}"])) == PAGE


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + PAGE,
        b"\n <style>p { }</style><p>Words</p>",
        b"Plain words of a page stand here.",
        "Où sont les élèves ? À la fenêtre.".encode() * 3,
        "Слова простой страницы стоят здесь.".encode("cp1251") * 3,
        "日本語の文章を読む。".encode("shift_jis") * 3,
        "<html><p>in UTF-16</p></html>".encode("utf-16"),
        b"",
    ],
)
def test_a_plain_body_under_any_encoding_stays(encoding, body):
    assert body_of(response(body, headers=[f"Content-Encoding: {encoding}"])) == body


def test_encoded_transfers():
    stored = gzip.compress(PAGE)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(stored), stored)
    assert body_of(response(chunked, headers=["Transfer-Encoding: gzip, chunked"])) == PAGE
    assert body_of(response(chunked, headers=["Transfer-Encoding: chunked", "Content-Encoding: gzip"])) == PAGE
    assert body_of(response(stored, headers=["Content-Encoding: identity", "content-encoding: gzip"])) == PAGE


def test_a_body_cut_in_its_encoding_gives_what_is_there():
    noise = random.Random(1).randbytes(50_000).hex().encode()
    stored = gzip.compress(noise)
    found = body_of(response(stored[: len(stored) // 2], headers=["Content-Encoding: gzip"]))
    assert 1000 < len(found) < len(noise)
    assert noise.startswith(found)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_a_body_that_decodes_to_too_much_is_refused(encoding):
    bomb = bytes(4 << 20)
    stored = {
        "gzip": gzip.compress(bomb),
        "deflate": zlib.compress(bomb),
        "br": packed("brotli", bomb),
        "zstd": packed("zstd", bomb),
    }
    with pytest.raises(BodyError, match="1048576 bytes") as failure:
        body_of(response(stored[encoding], headers=[f"Content-Encoding: {encoding}"]))
    assert failure.value.rule == "too_large"


@pytest.mark.parametrize(
    ("encoding", "start"), [("gzip", b"\x1f\x8b"), ("zstd", b"\x28\xb5\x2f\xfd"), ("deflate", b""), ("br", b"")]
)
def test_a_damaged_body_is_refused(encoding, start):
    with pytest.raises(BodyError) as failure:
        body_of(response(start + b"\xff\xfe\xfd" * 40, headers=[f"Content-Encoding: {encoding}"]))
    assert failure.value.rule == "content_encoding"


@pytest.mark.parametrize(
    ("body", "joined"),
    [
        (b"4\r\nWiki\r\n5;ext=1\r\npedia\r\n0\r\n\r\n", b"Wikipedia"),
        (b"4\nWiki\n0\n\n", b"Wiki"),
        (b"A\r\n0123456789\r\n", b"0123456789"),
        (b"ff\r\nshort", b"short"),
        (b"<html>not chunked</html>", b"<html>not chunked</html>"),
        (b"0004 \r\nWiki\r\n0\r\n\r\n", b"Wiki"),
        (b"face up\r\n<p>", b"face up\r\n<p>"),
        (b"2024 was a good year.\nThe second line", b"2024 was a good year.\nThe second line"),
        (b"2024\nThe second line", b"2024\nThe second line"),
        (b"4\r\nlines and no end of the chunk", b"4\r\nlines and no end of the chunk"),
        (b"", b""),
    ],
)
def test_chunks(body, joined):
    assert join_chunks(body) == joined


def test_chunks_in_a_response():
    block = response(b"4\r\n<p>a\r\n4\r\n</p>\r\n0\r\n\r\n", headers=["Transfer-Encoding: chunked"])
    assert body_of(block) == b"<p>a</p>"


def test_heads():
    head = parse_head(b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; charset=x\r\nX: 1\r\nX: 2\r\n\r\nbody")
    assert (head.status, head.media_type, head.headers["x"], head.body_offset) == (200, "text/html", "1, 2", 67)
    assert head.content_type.charset == "x"
    assert parse_head(b"HTTP/2 404\n\n").status == 404
    assert parse_head(b"GET / HTTP/1.1\r\n\r\n") is None
    assert parse_head(b"HTTP/1.1 200 OK\r\nX: no end").body_offset == 26
    folded = parse_head(b"HTTP/1.1 200 OK\r\nContent-Type: text/html;\r\n charset=gbk\r\n\r\n")
    assert folded.content_type == ContentType("text/html", "gbk")


@pytest.mark.parametrize(
    "start",
    [
        b"http/1.1 200 OK",
        b"HTTP/1.1\t200 OK",
        b"HTTP/1.1 200",
        b"HTTP 200 OK",
        b"\r\nHTTP/1.1 200OK",
        b"HTTP/2.0  200 ",
    ],
)
def test_status_lines_as_writers_put_them(start):
    head = parse_head(start + b"\r\nContent-Type: text/html\r\n\r\nbody")
    assert (head.status, head.media_type) == (200, "text/html")


def test_the_final_response_counts():
    block = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + response(PAGE)
    assert body_of(block) == PAGE
    assert body_of(b"HTTP/1.0 200 Connection established\r\n\r\n" + response(PAGE)) == PAGE
    assert parse_head(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").status == 101
