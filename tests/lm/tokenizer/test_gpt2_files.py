"""GPT-2's files: the printable alphabet is a bijection, and each mistake is named."""

import json

import pytest

from lm.errors import InputError
from lm.tokenizer import SPECIAL_TOKENS, Tokenizer
from lm.tokenizer.formats import save_gpt2
from lm.tokenizer.gpt2_files import from_printable, to_printable


def test_every_byte_has_its_character():
    everything = bytes(range(256))
    assert from_printable(to_printable(everything)) == everything
    assert to_printable(b" a\n") == "ĠaĊ"


def test_what_does_not_fit_is_named(tokenizer, tmp_path):
    save_gpt2(tokenizer, tmp_path)
    vocab, merges = tmp_path / "vocab.json", tmp_path / "merges.txt"
    good_merges, good_vocab = merges.read_text(), json.loads(vocab.read_text())

    def refused(match):
        with pytest.raises(InputError, match=match):
            Tokenizer.from_files(vocab, merges, SPECIAL_TOKENS)

    merges.write_text(good_merges + "zq zq\n")
    number = good_merges.count("\n") + 1
    refused(rf"merges\.txt: line {number}: the vocabulary has no 'zq'")
    merges.write_text(good_merges + "a b c\n")
    refused(rf"merges\.txt: line {number}: 3 tokens, expected two")
    merges.write_text("#version: 0.2\n\u4e2d a\n")
    refused(r"merges\.txt: line 2: '中' is not the character of a byte")
    merges.write_bytes(b"a \xff\n")
    refused(r"merges\.txt: not UTF-8 at byte 2")
    merges.write_text(good_merges)
    vocab.write_text(json.dumps({**good_vocab, "zz": 5}))
    refused(r"vocab\.json: token 'zz' has the id 5, expected a unique number")
    vocab.write_text(json.dumps({**good_vocab, "中": 900}))
    refused(r"vocab\.json: token '中': '中' is not the character of a byte")
    vocab.write_text("[1")
    refused(r"vocab\.json: not JSON")
    vocab.unlink()
    refused(r"vocab\.json: no such file")
