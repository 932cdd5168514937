"""The scanners cut as the regular expressions do, and a text's end changes only its last pre-tokens."""

import csv
import gzip
import json
import random

import numpy as np
import pytest

from lm.errors import ConfigurationError
from lm.tokenizer.patterns import PATTERNS
from lm.tokenizer.pretokenizing.block_scanner import ROOM
from lm.tokenizer.pretokenizing.pretokenize import pattern_code, pre_tokens, scan
from lm.tokenizer.pretokenizing.unicode_tables import kinds

AWKWARD = list("aAbBsStTlLrReEvVmMdD'''’ \n\r\t\v/.,!12२²ſßéÉ中ǅʰ\u0301\u0300 \u3000\xa0\x85\x1c\u200b😀\0")
"""Letters of each case and of none, marks, digits of several kinds, every kind of space, contractions, the long s."""

each_pattern = pytest.mark.parametrize("pattern", sorted(PATTERNS))


def awkward_texts(seed, number, longest=14):
    draw = random.Random(seed)
    return ["".join(draw.choices(AWKWARD, k=draw.randint(0, longest))) for _ in range(number)]


def assert_cut_as_by_regex(texts, pattern):
    from lm.tokenizer import reference

    for text in texts:
        assert pre_tokens(text, pattern) == reference.pre_tokens(text, pattern), repr(text)


@each_pattern
def test_equal_to_regex_on_awkward_text(pattern):
    pytest.importorskip("regex")
    assert_cut_as_by_regex(awkward_texts(1, 4_000), pattern)


@each_pattern
def test_equal_to_regex_where_the_class_of_characters_changes(pattern):
    """The first and the last code point of every run of one class."""
    pytest.importorskip("regex")
    edges = np.flatnonzero(np.diff(kinds()))
    points = [chr(code) for edge in edges.tolist() for code in (edge, edge + 1) if not 0xD800 <= code < 0xE000]
    assert len(points) > 6_000
    assert_cut_as_by_regex(["".join(f"a{c}Ab {c}{c}1" for c in points)], pattern)


@each_pattern
def test_equal_to_regex_on_any_text(pattern):
    hypothesis = pytest.importorskip("hypothesis")

    @hypothesis.settings(deadline=None, max_examples=200)
    @hypothesis.given(hypothesis.strategies.text())
    def check(text):
        assert_cut_as_by_regex([text], pattern)

    check()


@each_pattern
def test_equal_to_regex_on_real_text(pattern, shared_data):
    pytest.importorskip("regex")
    with gzip.open(shared_data("language/sentences.tsv.gz"), "rt", encoding="utf-8") as stream:
        rows = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert len({language for language, _ in rows}) == 75
    with gzip.open(shared_data("prose/public_domain.jsonl.gz"), "rt", encoding="utf-8") as stream:
        prose = [json.loads(line)["text"] for line in stream]
    assert_cut_as_by_regex(["\n".join(sentence for _, sentence in rows), *prose], pattern)


@each_pattern
def test_joined_they_are_the_text(pattern):
    for text in awkward_texts(3, 500):
        assert "".join(pre_tokens(text, pattern)) == text


ALPHABETS = [AWKWARD, list("aabbccsstlrevmd''' \n  .12"), ["a"] * 30 + [" ", "'"]]
ALPHABETS.append(["word", " the", "n't", "'ll", " ", "\n", "1", "12", "中文", "\xa0", "ы", ". "])


@each_pattern
@pytest.mark.parametrize("alphabet", range(len(ALPHABETS)))
def test_equal_to_regex_across_the_borders_of_blocks(pattern, alphabet):
    """`blocks` looks at 64 bytes: texts that end just before, at and after that, and longer ones."""
    pytest.importorskip("regex")
    draw = random.Random(alphabet)
    lengths = [*range(55, 75), 100, 130, 200, 400] * 12
    assert_cut_as_by_regex(["".join(draw.choices(ALPHABETS[alphabet], k=length)) for length in lengths], pattern)


@each_pattern
@pytest.mark.parametrize("room", [7, ROOM, ROOM + 40])
def test_no_pre_token_crosses_a_document(pattern, room):
    texts = awkward_texts(4, 200) + awkward_texts(5, 20, longest=300)
    data = np.frombuffer("".join(texts).encode(), np.uint8)
    boundaries = np.cumsum([0, *(len(text.encode()) for text in texts)])
    ends = np.empty(room, np.int64)
    start, found = 0, []
    while start < data.size:
        count = scan(data, boundaries, start, pattern_code(pattern), kinds(), ends)
        for end in ends[:count]:
            found.append(data[start:end].tobytes().decode())
            start = end
    assert found == [piece for text in texts for piece in pre_tokens(text, pattern)]


def test_digits_stand_alone():
    assert pre_tokens("7 + 12 = 19", "digits") == ["7", " +", " ", "1", "2", " =", " ", "1", "9"]


def test_an_unknown_pattern_is_named():
    with pytest.raises(ConfigurationError, match="unknown key 'gpt3'; did you mean 'gpt2'"):
        pre_tokens("a", "gpt3")
