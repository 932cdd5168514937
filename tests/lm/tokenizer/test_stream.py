"""Streams: the ids of the whole however it is cut, bounded memory, whole characters, true spans."""

import itertools
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from lm.errors import InputError
from lm.tokenizer import SPECIAL_TOKENS, Tokenizer, stream, train_bpe
from lm.tokenizer.patterns import PATTERNS
from lm.tokenizer.pretokenizing.block_scanner import ROOM
from lm.tokenizer.pretokenizing.pretokenize import pattern_code, scan
from lm.tokenizer.pretokenizing.unicode_tables import kinds
from lm.tokenizer.stream import StreamDecoder, _final_characters, final_parts

each_pattern = pytest.mark.parametrize("pattern", sorted(PATTERNS))


def chunks(text, draw, longest):
    start = 0
    while start < len(text):
        end = start + draw.randint(1, longest)
        yield text[start:end]
        start = end


@pytest.fixture(scope="module", params=sorted(PATTERNS))
def encoder(request):
    """A tokenizer with merges over all its characters, white space above all, so that a wrong cut shows in the ids."""
    draw = random.Random(3)
    documents = ["".join(draw.choices("aAbBsl'1!/.}ʰ  \n\n\r\t\u3000\x85", k=60)) for _ in range(300)]
    merges = train_bpe([*documents, "    \n        \t\t" * 99], 1_200, SPECIAL_TOKENS, "llama3").merges
    vocab = {i: bytes([i]) for i in range(256)} | {256 + i: left + right for i, (left, right) in enumerate(merges)}
    return Tokenizer(vocab, merges, SPECIAL_TOKENS, pattern=request.param)


SYMBOLS = {
    "gpt2": "a1 \n'l!",
    "digits": "a1 \n'l!",
    "cl100k": "a1 \n\t'l!",
    "llama3": "a1 \n\t'l!",
    "o200k": "aAʰ\u0301 \n'l/",
}
"""One character of every class that a pattern distinguishes, and the letters of one contraction."""


@each_pattern
def test_every_short_text_cut_anywhere_has_the_pre_tokens_of_the_whole(pattern):
    texts = ["".join(symbols) for n in range(1, 6) for symbols in itertools.product(SYMBOLS[pattern], repeat=n)]
    pieces = dict(zip(texts, pre_tokens_of_all(texts, pattern), strict=True)) | {"": []}
    final = {text: _final_characters(text, pattern, ()) for text in texts if len(text) < 5}
    assert sum(end > 0 for end in final.values()) > len(final) // 10
    for text in texts:
        for cut in range(1, len(text)):
            end = final[text[:cut]]
            assert pieces[text[:end]] + pieces[text[end:]] == pieces[text], (text, cut)


def pre_tokens_of_all(texts, pattern):
    """The pre-tokens of each text, by one scan over all of them."""
    parts = [text.encode() for text in texts]
    data = np.frombuffer(b"".join(parts), np.uint8)
    boundaries, ends = np.cumsum([0, *map(len, parts)]), np.empty(data.size + ROOM, np.int64)
    count = scan(data, boundaries, 0, pattern_code(pattern), kinds(), ends)
    pieces = [data[start:end].tobytes().decode() for start, end in itertools.pairwise([0, *ends[:count].tolist()])]
    rest = iter(pieces)
    for text in texts:
        of_text = []
        while sum(map(len, of_text)) < len(text):
            of_text.append(next(rest))
        yield of_text


ALPHABETS = {
    "white space": " \n\r\t\x0b\x0c\x85\xa0\u2028\u3000",
    "white space and text": " \n\r\t\u3000a1!'",
    "letters and marks": "aAbBsSlL'ʰ\u0301ßé中ǅ ",
    "marks and line ends": "!/.}\n\r \x1c",
    "special tokens": ["<|end|>", "<|e", "<|end", "|>", " ", "\n", "a"],
}


@pytest.mark.parametrize("alphabet", ALPHABETS)
def test_a_stream_has_the_ids_of_the_whole_however_it_is_cut(alphabet, encoder, monkeypatch):
    monkeypatch.setattr("lm.tokenizer.stream._BLOCK_CHARACTERS", 4)
    draw = random.Random(alphabet)
    for _ in range(150):
        text = "".join(draw.choices(list(ALPHABETS[alphabet]), k=draw.randint(1, 60)))
        for allowed in ("none", "all"):
            ids = list(encoder.encode_iterable(chunks(text, draw, draw.choice([1, 3, 20])), allowed))
            assert ids == encoder.encode(text, allowed), (text, allowed)


def test_source_code_streamed_has_the_ids_of_the_whole(encoder):
    """Indented lines, with blocks as large as they always are, cut at many places."""
    source = "".join(path.read_text() for path in sorted(Path(stream.__file__).parent.rglob("*.py")))
    draw = random.Random(encoder.pattern)
    for _ in range(20):
        start = draw.randrange(len(source) - 80_000)
        text = source[start : start + draw.randint(33_000, 80_000)]
        assert list(encoder.encode_iterable([text])) == encoder.encode(text)
        assert list(encoder.encode_iterable(chunks(text, draw, 20_000))) == encoder.encode(text)


def test_what_is_held_back_is_bounded(monkeypatch):
    """Texts without a letter, each pre-token of which ends in white space, come out as they go in."""
    monkeypatch.setattr("lm.tokenizer.stream._BLOCK_CHARACTERS", 50)
    for pattern in PATTERNS:
        for unit in ("}\n", " !\n\n", "1\n", "a \n", "中。\n\u3000", "\x1c1"):
            parts = list(final_parts([unit] * 2_000, pattern))
            assert "".join(parts) == unit * 2_000
            assert max(map(len, parts)) < 200


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


def test_a_lone_surrogate_is_named(tokenizer, monkeypatch):
    monkeypatch.setattr("lm.tokenizer.stream._BLOCK_CHARACTERS", 4)
    with pytest.raises(InputError, match=r"lone surrogate U\+DC00"):
        list(tokenizer.encode_iterable(["ab cd ef", "gh \udc00 ij", "kl"]))


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


def test_ids_decoded_one_by_one_give_the_text_of_all(bytes_only):
    """Bytes of every kind: characters, parts of characters, and bytes that no character has."""
    draw, decoder = random.Random(2), StreamDecoder(bytes_only)
    symbols = [*map(str.encode, "aé中😀"), b"\xf0\x9f", b"\xe4\xb8", b"\xc3", b"\x80", b"\xff"]
    for _ in range(2_000):
        ids = list(b"".join(draw.choices(symbols, k=draw.randint(0, 8))))
        assert "".join(map(decoder.push, ids)) + decoder.finish() == bytes_only.decode(ids)


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
