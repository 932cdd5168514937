"""The ids are those of the definition, whatever the length of a pre-token and the state of the cache."""

import random

import numpy as np
import pytest

from lm.tokenizer import SPECIAL_TOKENS, Tokenizer


def ids_of(tokenizer):
    return {token: i for i, token in tokenizer.vocab.items()}


def test_encoding_equals_the_definition(tokenizer):
    pytest.importorskip("regex")
    from lm.tokenizer import reference

    letters = random.Random(0)
    for _ in range(100):
        text = "".join(letters.choices("the river town of 1799 it's  \n\tß€", k=60))
        assert tokenizer.encode(text) == reference.encode(text, ids_of(tokenizer), tokenizer.merges, tokenizer.pattern)


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 95, 96, 97, 300])
def test_long_pre_tokens_equal_the_definition(length):
    pytest.importorskip("regex")
    from lm.tokenizer import reference, train_bpe

    letters = random.Random(length)
    documents = ["".join(letters.choices("ab", k=200)) for _ in range(4)]
    tokenizer = train_bpe(documents, 256 + 60, [])
    for text in ("".join(letters.choices("ab", k=length)), "a" * length):
        expected = reference.encode(text, ids_of(tokenizer), tokenizer.merges, "gpt2")
        assert tokenizer.encode(text) == expected
        assert tokenizer.encode("a " + text)[2:] == tokenizer.encode(" " + text)[1:]


def test_a_whole_pre_token_comes_before_the_merges_where_they_are_ignored(tokenizer):
    """Of every length at which the merge loop or the cache changes, among words that differ in one letter from it."""
    pytest.importorskip("regex")
    from lm.tokenizer import reference

    letters = random.Random(4)
    words = ["".join(letters.choices("riverto", k=n)) for n in [*range(2, 40), 95, 96, 97, 98, 300] * 4]
    ids = ids_of(tokenizer) | {word.encode(): 1_000 + i for i, word in enumerate(dict.fromkeys(words[::2]))}
    whole = Tokenizer({i: token for token, i in ids.items()}, tokenizer.merges, ignore_merges=True)
    near = [word[:-1] + "x" for word in words] + [word + "r" for word in words]
    for word in [*words, *near]:
        expected = reference.encode(word, ids, tokenizer.merges, "gpt2", ignore_merges=True)
        assert whole.encode(word) == whole.encode(word) == expected
    text = " ".join(words)
    assert whole.decode(whole.encode(text)) == text
    assert sum(len(whole.encode(word)) == 1 for word in words) > len(words) // 2


def test_the_cache_gives_what_merging_gives(tokenizer):
    """More distinct pre-tokens than the cache has rows: each forgotten and remembered again."""
    draw = random.Random(8)
    words = ["".join(draw.choices("townriveß", k=draw.randint(1, 15))) for _ in range(200_000)]
    text = " ".join(words)
    first = tokenizer.encode_array(text)
    assert np.array_equal(tokenizer.encode_array(text), first)
    fresh = Tokenizer(tokenizer.vocab, tokenizer.merges, SPECIAL_TOKENS, pattern=tokenizer.pattern)
    for start in range(0, len(words), 20_011):
        part = " " + " ".join(words[start : start + 50])
        assert tokenizer.encode(part) == [i for word in words[start : start + 50] for i in fresh.encode(" " + word)]
    assert tokenizer.decode(first) == text
