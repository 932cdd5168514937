"""The tokenizer: learned by hand-checked merges, the same text back, no special token from outside."""

import itertools
import random
from collections import Counter

import pytest

pytest.importorskip("regex")

from hypothesis import given
from hypothesis import strategies as st

from lm.errors import ConfigurationError, InputError
from lm.tokenizer import Tokenizer, train_bpe
from lm.tokenizer.patterns import PATTERNS
from lm.tokenizer.pretokenize import pre_tokens
from lm.tokenizer.tokenizer import SPECIAL_TOKENS

TEXT = "low low low low low lower lower widest widest widest newest newest newest newest newest newest"
SENTENCES = [
    f"In {year} the river town of Nordhaven had {year // 7} boats; it's said they'd sailed." for year in range(300)
]


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe(SENTENCES, 400, SPECIAL_TOKENS, "digits")


def plain_merges(documents, num_merges, pattern):
    """The definition, without an index: count all pairs anew for every merge."""
    words = Counter(piece.encode() for text in documents for piece in pre_tokens(text, pattern))
    split = {word: [bytes([b]) for b in word] for word in words}
    merges = []
    while len(merges) < num_merges:
        pairs = Counter()
        for word, tokens in split.items():
            for pair in itertools.pairwise(tokens):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merges.append(best)
        for tokens in split.values():
            apply_merge(tokens, best)
    return merges


def apply_merge(tokens, pair):
    """Join every occurrence of `pair` in `tokens`, from the left, in place."""
    i = 0
    while i + 1 < len(tokens):
        if (tokens[i], tokens[i + 1]) == pair:
            tokens[i : i + 2] = [pair[0] + pair[1]]
        i += 1


def plain_encode(tokenizer, text):
    """The definition: apply the merges one after the other over each pre-token."""
    ids = {token: i for i, token in tokenizer.vocab.items()}
    found = []
    for piece in pre_tokens(text, tokenizer.pattern):
        tokens = [bytes([b]) for b in piece.encode()]
        for pair in tokenizer.merges:
            apply_merge(tokens, pair)
        found += [ids[token] for token in tokens]
    return found


def test_the_first_merges_of_a_known_text():
    merges = train_bpe([TEXT], 256 + 6, [], "gpt2").merges
    assert merges[:6] == [(b"s", b"t"), (b"e", b"st"), (b"o", b"w"), (b"l", b"ow"), (b"w", b"est"), (b"n", b"e")]


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_merges_equal_the_definitions(pattern):
    documents = [*SENTENCES[:40], TEXT, "aaaaaaa aaaa aaaaaaaa"]
    assert train_bpe(documents, 256 + 60, [], pattern).merges == plain_merges(documents, 60, pattern)


def test_encoding_equals_the_definition(tokenizer):
    letters = random.Random(0)
    for _ in range(100):
        text = "".join(letters.choices("the river town of 1799 it's  \n\tß€", k=60))
        assert tokenizer.encode(text) == plain_encode(tokenizer, text)


@given(st.text())
def test_any_text_comes_back(text):
    tokenizer = Tokenizer({**{i: bytes([i]) for i in range(256)}, 256: b"ab"}, [(b"a", b"b")], SPECIAL_TOKENS)
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
@given(text=st.text())
def test_pre_tokens_joined_are_the_text(pattern, text):
    assert "".join(pre_tokens(text, pattern)) == text


def test_digits_stand_alone_and_are_always_written_the_same(tokenizer):
    assert list(pre_tokens("7 + 12 = 19", "digits")) == ["7", " +", " ", "1", "2", " =", " ", "1", "9"]
    assert tokenizer.encode("12")[-1] == tokenizer.encode("a 2")[-1]


def test_special_tokens_come_last_and_only_when_allowed(tokenizer):
    assert [tokenizer.special_id(name) for name in SPECIAL_TOKENS] == list(
        range(tokenizer.vocab_size - 5, tokenizer.vocab_size)
    )
    text = "one<|endoftext|>two<|end|>"
    assert not set(tokenizer.encode(text)) & set(range(tokenizer.vocab_size - 5, tokenizer.vocab_size))
    everything = tokenizer.encode(text, allowed_special="all")
    assert tokenizer.end_of_text_id in everything
    assert everything[-1] == tokenizer.special_id("<|end|>")
    some = tokenizer.encode(text, allowed_special={"<|end|>"})
    assert tokenizer.end_of_text_id not in some
    for ids in (tokenizer.encode(text), everything, some):
        assert tokenizer.decode(ids) == text


def test_the_longest_of_overlapping_special_tokens_wins():
    tokenizer = Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<a>", "<a><a>"])
    assert tokenizer.encode("<a><a><a>", allowed_special="all") == [257, 256]


def test_a_batch_is_its_texts(tokenizer):
    batch = tokenizer.encode_batch(SENTENCES[:7], num_threads=2)
    assert [ids.tolist() for ids in batch] == [tokenizer.encode(text) for text in SENTENCES[:7]]


def test_saved_and_loaded_it_is_the_same(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.digest == tokenizer.digest
    assert loaded.encode(SENTENCES[3]) == tokenizer.encode(SENTENCES[3])
    assert loaded.special_tokens == SPECIAL_TOKENS


def test_training_is_deterministic_and_streams(tokenizer):
    assert train_bpe(iter(SENTENCES), 400, SPECIAL_TOKENS, "digits").digest == tokenizer.digest


def test_files_are_learned_from_like_documents(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(TEXT)
    assert train_bpe([path], 270, []).merges == train_bpe([TEXT], 270, []).merges
    path.write_bytes(b"abc \xff\xfe")
    with pytest.raises(InputError, match=r"a\.txt: not UTF-8"):
        train_bpe([path], 270, [])


def test_each_mistake_is_named(tokenizer, tmp_path):
    with pytest.raises(ConfigurationError, match="vocab_size: 260, expected at least 261"):
        train_bpe([TEXT], 260, SPECIAL_TOKENS)
    with pytest.raises(ConfigurationError, match=r"special_tokens: one is repeated"):
        train_bpe([TEXT], 300, ["<a>", "<a>"])
    with pytest.raises(ConfigurationError, match="unknown key 'gpt3'; did you mean 'gpt2'"):
        train_bpe([TEXT], 300, [], "gpt3")
    with pytest.raises(InputError, match="no text"):
        train_bpe([], 300, [])
    with pytest.raises(InputError, match=r"token id 999 lies outside 0\.\.\d+"):
        tokenizer.decode([999])
    with pytest.raises(InputError, match=r"lone surrogate U\+D800"):
        tokenizer.encode("a\ud800b")
    with pytest.raises(InputError, match=r"merge 0: .*the vocabulary has no b'ab'"):
        Tokenizer({i: bytes([i]) for i in range(256)}, [(b"a", b"b")], [])
    with pytest.raises(InputError, match="no tokenizer here"):
        Tokenizer.load(tmp_path)


def test_a_damaged_file_is_refused(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    content = path.read_text()
    path.write_text(content.replace('"digits"', '"gpt2"'))
    with pytest.raises(InputError, match=r"tokenizer\.json: digest of the content is"):
        Tokenizer.load(tmp_path)
    path.write_text(content[:100])
    with pytest.raises(InputError, match=r"tokenizer\.json: not a tokenizer"):
        Tokenizer.load(tmp_path)
