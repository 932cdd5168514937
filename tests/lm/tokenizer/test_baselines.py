"""The comparison with characters, bytes and words."""

import pytest

from lm.errors import InputError
from lm.tokenizer.baselines import ByteTokenizer, CharacterTokenizer, WordTokenizer, baselines, compare, split


def test_characters():
    tokenizer = CharacterTokenizer.train(["aab", "b中"], 4)
    assert tokenizer.vocab_size == 4
    assert tokenizer.encode("ab中z") == [1, 2, 3, 0]
    assert tokenizer.decode([1, 2, 3, 0]) == "ab中�"
    assert CharacterTokenizer.train(["aabbc"], 3).encode("abc") == [1, 2, 0]


def test_words():
    tokenizer = WordTokenizer.train(["the cat the dog the cat"], 4)
    assert split(tokenizer, "the cat the fox dog") == ["�", " cat", " the", "�", " dog"]
    assert tokenizer.decode(tokenizer.encode(" cat the")) == " cat the"


def test_bytes():
    assert ByteTokenizer().encode("é") == [0xC3, 0xA9]
    assert ByteTokenizer().decode([0xC3, 0xA9]) == "é"
    with pytest.raises(InputError, match="expected 0 to 255"):
        ByteTokenizer().decode([256])


def test_all_four_on_the_same_text(tokenizer, sentences):
    found = {name: compare(other, sentences) for name, other in baselines(sentences, 400).items()}
    found["bpe"] = compare(tokenizer, sentences)
    assert found["byte"].bytes_per_token == 1
    assert found["byte"].bytes_per_token < found["bpe"].bytes_per_token < found["word"].bytes_per_token
    assert found["bpe"].fertility == found["bpe"].num_tokens / sum(len(text.split()) for text in sentences)
    assert (
        found["bpe"].unknown_share
        == found["character"].unknown_share
        == 0
        < compare(WordTokenizer.train(sentences, 50), sentences).unknown_share
    )
    assert all(comparison.tokens_per_s > 0 for comparison in found.values())
    with pytest.raises(InputError, match="no text to compare"):
        compare(tokenizer, [""])
