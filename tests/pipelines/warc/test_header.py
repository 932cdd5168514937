"""WARC headers: fields, lengths and digests in every notation."""

import base64
import hashlib

import pytest

from pipelines.warc.header import BadHeader, block_length, digest_covers, parse_header


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_digests_in_every_notation(algorithm):
    value = hashlib.new(algorithm, b"block").digest()
    base_32 = base64.b32encode(value).decode()
    for text in (value.hex(), value.hex().upper(), base_32, base_32.rstrip("=")):
        assert digest_covers(f"{algorithm}:{text}", b"block")
        assert not digest_covers(f"{algorithm}:{text}", b"other")
    assert digest_covers("crc32:12345678", b"what we do not know is not held against a record")


def test_header_fields():
    fields = parse_header(b"WARC/1.0\r\nWARC-Type: a\r\nWARC-Record-ID: b\r\nContent-Length: 12\r\nX: 1\r\n 2\r\n")
    assert fields["x"] == "1 2"
    assert block_length(fields) == 12
    for text in ("-1", "9e9", "1_0", "٣", "", "0x10", "1" * 40):
        with pytest.raises(BadHeader):
            block_length({"content-length": text})
