"""Files of others: ids survive the round trip, and what does not fit is named."""

import json

import pytest

from lm.errors import InputError
from lm.tokenizer import SPECIAL_TOKENS, Tokenizer, train_bpe
from lm.tokenizer.formats import (
    load_gpt2,
    load_huggingface,
    load_tiktoken,
    merges_of_ranks,
    save_gpt2,
    save_huggingface,
    save_tiktoken,
)
from lm.tokenizer.patterns import OTHER_SPELLINGS, PATTERNS

TEXT = "The river's 1799 boats:  é 中 😀\n\n<|end|>"


def assert_same_ids(loaded, tokenizer):
    assert loaded.vocab == tokenizer.vocab
    for allowed in ("none", "all"):
        assert loaded.encode(TEXT, allowed) == tokenizer.encode(TEXT, allowed)


def test_gpt2_files(tokenizer, tmp_path):
    save_gpt2(tokenizer, tmp_path)
    assert_same_ids(
        load_gpt2(tmp_path / "vocab.json", tmp_path / "merges.txt", SPECIAL_TOKENS, tokenizer.pattern), tokenizer
    )


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_huggingface_file(pattern, tokenizer, tmp_path):
    saved = Tokenizer(tokenizer.vocab, tokenizer.merges, SPECIAL_TOKENS, pattern=pattern)
    save_huggingface(saved, tmp_path / "tokenizer.json")
    loaded = load_huggingface(tmp_path / "tokenizer.json")
    assert loaded.pattern == pattern
    assert loaded.digest == saved.digest
    assert_same_ids(loaded, saved)


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_tokenizers_loads_what_we_save(pattern, tokenizer, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    saved = Tokenizer(tokenizer.vocab, tokenizer.merges, SPECIAL_TOKENS, pattern=pattern)
    save_huggingface(saved, tmp_path / "tokenizer.json")
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert theirs.encode(TEXT).ids == saved.encode(TEXT, "all")
    assert theirs.decode(theirs.encode(TEXT).ids, skip_special_tokens=False) == TEXT


def test_transformers_loads_what_we_save(tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    save_huggingface(tokenizer, tmp_path / "tokenizer.json")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    assert theirs.encode(TEXT) == tokenizer.encode(TEXT, "all")


def test_tiktoken_ranks(tokenizer, tmp_path):
    save_tiktoken(tokenizer, tmp_path / "ranks")
    specials = {name: tokenizer.special_id(name) for name in SPECIAL_TOKENS}
    loaded = load_tiktoken(tmp_path / "ranks", "digits", specials)
    assert loaded.merges == tokenizer.merges
    assert_same_ids(loaded, tokenizer)


def test_the_merges_of_gpt2_follow_from_its_ranks(gpt2):
    ranks = {token: i for i, token in gpt2.vocab.items() if i != gpt2.end_of_text_id}
    assert merges_of_ranks(ranks) == gpt2.merges


@pytest.mark.parametrize("expression", sorted(OTHER_SPELLINGS))
def test_other_spellings_have_the_same_matches(expression):
    regex = pytest.importorskip("regex")
    from tests.lm.tokenizer.pretokenizing.test_pretokenize import awkward_texts

    for text in awkward_texts(9, 3_000):
        assert regex.findall(expression, text) == regex.findall(PATTERNS[OTHER_SPELLINGS[expression]], text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"normalizer": {"type": "NFC"}}, r"a normalizer \(NFC\), expected none"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "pre_tokenizer ends in"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}, "without add_prefix_space"),
        ({"model": {"type": "Unigram"}}, "model.type is 'Unigram', expected 'BPE'"),
        ({"added_tokens": None}, "not a tokenizer of `tokenizers`"),
    ],
)
def test_a_tokenizer_of_another_kind_is_refused(change, message, tokenizer, tmp_path):
    path = tmp_path / "tokenizer.json"
    save_huggingface(tokenizer, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=message):
        load_huggingface(path)


def test_ranks_that_no_merges_make_are_refused(tmp_path):
    tokenizer = train_bpe(["abab"], 258, [])
    save_tiktoken(tokenizer, tmp_path / "ranks")
    lines = (tmp_path / "ranks").read_text().splitlines()
    (tmp_path / "ranks").write_text("\n".join([*lines, "eHl6 300"]))
    with pytest.raises(InputError, match="b'xyz' of rank 300 is not made of two tokens"):
        load_tiktoken(tmp_path / "ranks", "gpt2", {})
    (tmp_path / "ranks").write_text("\n".join([*lines, "!! 300"]))
    with pytest.raises(InputError, match=r"line 259 is '!! 300', expected base64 and a rank"):
        load_tiktoken(tmp_path / "ranks", "gpt2", {})
