"""Streams: the ids of the whole however it is cut, bounded memory, whole characters, true spans."""

import random
import subprocess
import sys
import tracemalloc

import pytest

from lm.tokenizer import Tokenizer
from lm.tokenizer.patterns import PATTERNS
from lm.tokenizer.stream import StreamDecoder, final_parts


def chunks(text, draw, longest):
    start = 0
    while start < len(text):
        end = start + draw.randint(1, longest)
        yield text[start:end]
        start = end


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@pytest.mark.parametrize("longest", [1, 7, 40_000])
def test_a_stream_has_the_ids_of_the_whole(pattern, longest, tokenizer, monkeypatch):
    monkeypatch.setattr("lm.tokenizer.stream._BLOCK_CHARACTERS", 50)
    stream_tokenizer = Tokenizer(tokenizer.vocab, tokenizer.merges, tokenizer.special_tokens, pattern=pattern)
    draw = random.Random(longest)
    parts = [
        "river ",
        "town",
        "'ll",
        "\n",
        "\r\n ",
        "  ",
        "1799",
        "中文",
        "é",
        "ABCdef",
        "<|end|>",
        "<|e",
        "!/\n",
        " " * 300,
    ]
    text = "".join(draw.choices(parts, k=1_500))
    for allowed in ("none", "all"):
        ids = list(stream_tokenizer.encode_iterable(chunks(text, draw, longest), allowed))
        assert ids == stream_tokenizer.encode(text, allowed)


def test_a_stream_is_lazy_and_its_memory_bounded(tokenizer):
    given = 0

    def texts():
        nonlocal given
        for i in range(3_000):
            given += 1
            yield f"In {i} the river town of Nordhaven had {i // 7} boats. " * 20

    ids = tokenizer.encode_iterable(texts())
    next(ids)
    assert given < 100
    for _ in range(20_000):
        next(ids)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    count = sum(1 for _ in ids)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count > 500_000
    assert peak - before < 2_000_000


STREAM = """
import itertools, resource, sys, zlib
import numpy as np
from lm.tokenizer import Tokenizer

tokenizer = Tokenizer.load(sys.argv[1])
size, chunk = int(sys.argv[2]), int(sys.argv[3])
line = "In {0} the river town of Nordhaven had {1} boats; it's said they'd sailed – déjà vu.\\n"
unit = "".join(line.format(i, i // 7) for i in range(999))
unit += " " * 5_000 + "中文" * 2_000

def chunks(wanted):
    text = unit * (-(-chunk // len(unit)) + 1)
    at, given = 0, 0
    while given < wanted:
        yield text[at : at + chunk]
        given += chunk
        at = (at + chunk) % len(unit)

def checksum(ids):
    found, number = 0, 0
    while part := list(itertools.islice(ids, 1 << 14)):
        found, number = zlib.crc32(np.array(part, np.uint32), found), number + len(part)
    return found, number

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

checksum(tokenizer.encode_iterable(chunks(3 * len(unit) + 2 * chunk)))
before = peak()
streamed = checksum(tokenizer.encode_iterable(chunks(size)))
grown = peak() - before
whole = tokenizer.encode_array("".join(chunks(size)))
print(grown, streamed == (zlib.crc32(whole), len(whole)), len(whole))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("size", "chunk"), [(100_000_000, 4_096), (1_000_000, 3)])
def test_a_stream_of_100_megabytes_grows_the_process_by_at_most_one(tokenizer, tmp_path, size, chunk):
    tokenizer.save(tmp_path)
    command = [sys.executable, "-c", STREAM, str(tmp_path), str(size), str(chunk)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    grown_kib, equal, num_ids = out.split()
    assert equal == "True"
    assert int(num_ids) > size // 10
    assert int(grown_kib) <= 1_000


def test_parts_joined_are_the_text():
    text = "word 12  \n" * 20_000
    parts = list(final_parts([text], "gpt2"))
    assert "".join(parts) == text
    assert len(parts) > 4


def test_the_streaming_decoder_never_gives_half_a_character(bytes_only):
    decoder = StreamDecoder(bytes_only)
    given = [decoder.push(i) for i in bytes_only.encode("é中😀a")]
    assert given == ["", "é", "", "", "中", "", "", "", "😀", "a"]
    assert decoder.finish() == ""
    assert [decoder.push(i) for i in b"\xe4\xb8"] == ["", ""]
    assert decoder.finish() == "�"
    assert [decoder.push(i) for i in b"\xe4a"] == ["", "�a"]


def test_spans_of_characters(tokenizer, bytes_only):
    text = "the é 中😀 town<|end|>"
    for allowed in ("none", "all"):
        ids, spans = tokenizer.encode_offsets(text, allowed)
        assert ids == tokenizer.encode(text, allowed)
        assert [start for start, _ in spans] == sorted(start for start, _ in spans)
        for i, (start, end) in zip(ids, spans, strict=True):
            assert tokenizer.decode_bytes([i]) in text[start:end].encode()
    assert text[slice(*tokenizer.encode_offsets(text, "all")[1][-1])] == "<|end|>"
    assert bytes_only.encode_offsets("aé")[1] == [(0, 1), (1, 2), (1, 2)]
    assert bytes_only.encode_offsets("") == ([], [])
