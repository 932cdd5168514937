"""The tokenizer: the definition's ids, the same text back, no special token from outside, nothing damaged loaded."""

import contextlib
import gzip
import pickle
import subprocess
import sys
import zlib

import numpy as np
import pyarrow as pa
import pytest

from lm.errors import ConfigurationError, InputError
from lm.tokenizer import SPECIAL_TOKENS, Tokenizer
from lm.tokenizer.patterns import PATTERNS


def ids_of(tokenizer):
    return {token: i for i, token in tokenizer.vocab.items()}


def test_added_tokens_are_seen_in_any_text_and_special_ones_only_when_allowed(tokenizer, tmp_path):
    added = Tokenizer(tokenizer.vocab, tokenizer.merges, SPECIAL_TOKENS, added_tokens=["river", "<tool>", "  "])
    assert added.token_id("<tool>") == added.vocab_size - 2
    text = "the river<tool>  <|end|>"
    plain = [*tokenizer.encode("the "), *(added.token_id(name) for name in ("river", "<tool>", "  "))]
    assert added.encode(text) == plain + tokenizer.encode("<|end|>")
    assert added.encode(text, "all") == [*plain, tokenizer.special_id("<|end|>")]
    assert [ids.tolist() for ids in added.encode_batch([text, ""], num_threads=2)] == [added.encode(text), []]
    assert added.encode_documents(pa.array([text, ""])[:2]).to_pylist() == [added.encode(text), []]
    for cut in range(len(text)):
        assert list(added.encode_iterable([text[:cut], text[cut:]])) == added.encode(text)
    assert added.decode(added.encode(text)) == text
    assert added.encode_offsets(text)[1][-1] == (len(text) - 1, len(text))
    added.save(tmp_path)
    assert Tokenizer.load(tmp_path).encode(text) == added.encode(text)
    assert len({added.digest, tokenizer.digest, Tokenizer.load(tmp_path).digest}) == 2


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_any_text_comes_back(pattern, tokenizer):
    hypothesis = pytest.importorskip("hypothesis")
    cut_otherwise = Tokenizer(tokenizer.vocab, tokenizer.merges, SPECIAL_TOKENS, pattern=pattern)

    @hypothesis.settings(deadline=None)
    @hypothesis.given(hypothesis.strategies.text())
    def check(text):
        assert cut_otherwise.decode(cut_otherwise.encode(text)) == text

    check()


def test_digits_are_always_written_the_same(tokenizer):
    assert tokenizer.encode("12")[-1] == tokenizer.encode("a 2")[-1]


def test_special_tokens_come_last_and_only_when_allowed(tokenizer):
    last = range(tokenizer.vocab_size - 5, tokenizer.vocab_size)
    assert [tokenizer.special_id(name) for name in SPECIAL_TOKENS] == list(last)
    text = "one<|endoftext|>two<|end|>"
    assert not set(tokenizer.encode(text)) & set(last)
    everything = tokenizer.encode(text, allowed_special="all")
    assert tokenizer.end_of_text_id in everything
    assert everything[-1] == tokenizer.special_id("<|end|>")
    some = tokenizer.encode(text, allowed_special={"<|end|>"})
    assert tokenizer.end_of_text_id not in some
    for ids in (tokenizer.encode(text), everything, some):
        assert tokenizer.decode(ids) == text
    with pytest.raises(ConfigurationError, match=r"special token '<a>': expected one of <\|endoftext\|>, "):
        tokenizer.encode(text, allowed_special={"<a>"})


def test_the_longest_of_overlapping_special_tokens_wins():
    tokenizer = Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<a>", "<a><a>"])
    assert tokenizer.encode("<a><a><a>", allowed_special="all") == [257, 256]


@pytest.mark.parametrize("num_threads", [1, 3])
def test_a_batch_is_its_texts(tokenizer, sentences, num_threads, monkeypatch):
    monkeypatch.setattr("lm.tokenizer.text_batches._BATCH_CHARACTERS", 1_000)
    texts = ["", *sentences[:60], "", "", "x" * 5_000, "中文", ""]
    batch = tokenizer.encode_batch(texts, num_threads=num_threads)
    assert [ids.tolist() for ids in batch] == [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_batch([]) == []
    assert [ids.tolist() for ids in tokenizer.encode_batch(["", ""])] == [[], []]


def test_gpt2_gives_its_published_ids(gpt2):
    assert gpt2.encode("Hello, world! I'm 😀 ok") == [15496, 11, 995, 0, 314, 1101, 30325, 222, 12876]
    assert gpt2.encode("hi<|endoftext|>", "all") == [5303, 50256]
    assert gpt2.vocab_size == 50257


@pytest.fixture(scope="module")
def tiktoken_gpt2(gpt2):
    """tiktoken's encoding of the same ranks, with the pattern as OpenAI spells it."""
    tiktoken = pytest.importorskip("tiktoken")
    pattern = pytest.importorskip("tiktoken_ext.openai_public").r50k_pat_str
    ranks = {token: i for i, token in gpt2.vocab.items() if i != gpt2.end_of_text_id}
    specials = {"<|endoftext|>": gpt2.end_of_text_id}
    return tiktoken.Encoding("gpt2", pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials)


HOSTILE = [
    "",
    " ",
    "^" * 1_000_000,
    " " * 1_000_000,
    "e\u0301\u0300 o\u0302",
    "👩‍👩‍👧 🏳️‍🌈 👍🏽",
    "\r\n\t \u3000\xa0x",
    "<|endoftext|>",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: repr(text[:8]))
def test_gpt2_equals_tiktoken_on_hostile_text(gpt2, tiktoken_gpt2, text):
    assert gpt2.encode(text) == tiktoken_gpt2.encode_ordinary(text)


@pytest.mark.slow
def test_gpt2_equals_tiktoken_on_all_shared_text(gpt2, tiktoken_gpt2, shared_data):
    """Every file of the real inputs as text, whatever it is: prose, 75 languages, markup, tables, WARC, raw bytes."""
    num_files = 0
    for path in sorted(shared_data("MANIFEST.md").parent.rglob("*")):
        if path.is_file():
            text = as_text(path)
            assert np.array_equal(gpt2.encode_array(text), tiktoken_gpt2.encode_to_numpy(text, disallowed_special=()))
            num_files += 1
    assert num_files > 130


def as_text(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        with contextlib.suppress(EOFError, zlib.error, OSError):
            data = gzip.decompress(data)
    return data.decode(errors="replace")


def test_threads_may_share_it_and_processes_get_a_copy(tokenizer, sentences):
    tokenizer.encode("a")
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode(sentences[0]) == tokenizer.encode(sentences[0])
    assert copy.digest == tokenizer.digest


def test_ids_may_have_gaps(tmp_path):
    tokenizer = Tokenizer(
        {**{i: bytes([i]) for i in range(256)}, 300: b"ab", 400: b"<|end|>"}, [(b"a", b"b")], ["<|end|>"]
    )
    assert tokenizer.vocab_size == 401
    assert tokenizer.encode("abc<|end|>", "all") == [300, 99, 400]
    with pytest.raises(InputError, match="token id 299 has no token"):
        tokenizer.decode([299])
    with pytest.raises(InputError, match="token id 299 has no token"):
        tokenizer.decode(np.array([299]))
    tokenizer.save(tmp_path)
    assert Tokenizer.load(tmp_path).vocab == tokenizer.vocab


def test_the_import_is_light():
    code = "import lm.tokenizer, sys; print(sorted({'numba', 'torch', 'regex'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_saved_and_loaded_it_is_the_same(tokenizer, tmp_path, sentences):
    tokenizer.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    assert loaded.digest == tokenizer.digest
    assert loaded.encode(sentences[3]) == tokenizer.encode(sentences[3])
    assert loaded.special_tokens == SPECIAL_TOKENS


def test_each_mistake_is_named(tokenizer, tmp_path):
    with pytest.raises(InputError, match=r"token id 999, expected 0 to \d+"):
        tokenizer.decode([999])
    with pytest.raises(InputError, match=r"lone surrogate U\+D800"):
        tokenizer.encode("a\ud800b")
    with pytest.raises(InputError, match=r"merge 0: .*the vocabulary has no b'ab'"):
        Tokenizer({i: bytes([i]) for i in range(256)}, [(b"a", b"b")], [])
    with pytest.raises(InputError, match=r"vocabulary: has no token for the byte b'\\x00'"):
        Tokenizer({i: bytes([i]) for i in range(1, 256)}, [], [])
    with pytest.raises(InputError, match="vocabulary: id 256 is the empty string"):
        Tokenizer({**{i: bytes([i]) for i in range(256)}, 256: b""}, [], [])
    with pytest.raises(InputError, match="vocabulary: b'a' has the ids 97 and 256"):
        Tokenizer({**{i: bytes([i]) for i in range(256)}, 256: b"a"}, [], [])
    with pytest.raises(InputError, match="token id -1, expected 0 to"):
        tokenizer.decode([5, -1])
    byte_vocab = {i: bytes([i]) for i in range(256)}
    with pytest.raises(InputError, match=r"merge 1: b'a' b'b' is merge 0 already"):
        Tokenizer({**byte_vocab, 256: b"ab"}, [(b"a", b"b")] * 2)
    with pytest.raises(ConfigurationError, match="added_tokens: '' is empty"):
        Tokenizer(byte_vocab, [], added_tokens=[""])
    with pytest.raises(ConfigurationError, match="added_tokens: '<a>' is a special token"):
        Tokenizer(byte_vocab, [], ["<a>"], added_tokens=["<a>"])
    with pytest.raises(ConfigurationError, match="token 'xy': not in the vocabulary"):
        Tokenizer(byte_vocab, []).token_id("xy")
    with pytest.raises(ConfigurationError, match="special_tokens: one is repeated"):
        Tokenizer({i: bytes([i]) for i in range(256)}, [], ["<a>", "<a>"])
    with pytest.raises(ConfigurationError, match="'ab' can be the token of ordinary text"):
        Tokenizer({**{i: bytes([i]) for i in range(256)}, 256: b"ab"}, [(b"a", b"b")], ["ab"])
    with pytest.raises(ConfigurationError, match="unknown key 'gpt3'; did you mean 'gpt2'"):
        Tokenizer({i: bytes([i]) for i in range(256)}, [], [], pattern="gpt3")
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
