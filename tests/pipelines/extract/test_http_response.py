"""HTTP responses: heads, chunks, content encodings, and headers that lie about them."""

import gzip
import random
import zlib

import pyarrow as pa
import pytest

from pipelines.extract.http_response import BodyError, decode_body, join_chunks, parse_head
from tests.pipelines.warc_making import page, response

PAGE = page(1)


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
        *((encoding, PAGE) for encoding in ("gzip", "deflate", "br", "zstd")),
    ],
)
def test_content_encodings_also_where_the_header_lies(encoding, body):
    assert body_of(response(body, headers=[f"Content-Encoding: {encoding}"])) == PAGE


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
        (b"face up\r\n<p>", b"ace up"[:0] + b"<p>"),
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
    assert (head.status, head.media_type, head.headers["x"], head.body_offset) == (200, "text/html", "1", 67)
    assert parse_head(b"HTTP/2 404\n\n").status == 404
    assert parse_head(b"GET / HTTP/1.1\r\n\r\n") is None
    assert parse_head(b"HTTP/1.1 200 OK\r\nX: no end").body_offset == 26
