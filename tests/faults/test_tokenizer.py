"""Faults at the tokenizer: hostile lengths, markers in outside text, a flipped bit."""

import random

import numpy as np
import pytest

from lm import storage
from lm.errors import InputError, IntegrityError
from lm.tokenizer import SPECIAL_TOKENS, Tokenizer, train_bpe
from lm.tokenizer.patterns import PATTERNS

MILLION = 1_000_000


@pytest.fixture(scope="module")
def tokenizer():
    draw = random.Random(1)
    documents = ["".join(draw.choices("abcd ^  \n", k=2_000)) for _ in range(50)]
    return train_bpe([*documents, "^" * 64, " " * 64], 600, SPECIAL_TOKENS)


@pytest.mark.fault(15)
# What grows with the square takes hours and ends at the time limit of every test; `benchmarks.long_input` measures.
@pytest.mark.parametrize("piece", ["^", " ", "a", "ab", "中"])
def test_a_pre_token_of_a_million_characters(tokenizer, piece):
    ids = tokenizer.encode_array(piece * (MILLION // len(piece)))
    assert tokenizer.decode(ids) == piece * (MILLION // len(piece))


@pytest.mark.fault(15)
def test_a_pre_token_of_four_million_letters_without_a_pattern(tokenizer):
    text = "".join(random.Random(2).choices("abcd", k=4 * MILLION))
    assert tokenizer.decode(tokenizer.encode_array(text)) == text


@pytest.mark.fault(15)
def test_a_document_of_50_megabytes(tokenizer):
    text = "abc dab  ^^ badc\n" * (50 * MILLION // 17)
    ids = tokenizer.encode_array(text)
    assert tokenizer.decode(ids) == text


@pytest.mark.fault(16)
@pytest.mark.parametrize("marker", SPECIAL_TOKENS)
def test_a_marker_in_outside_text_is_plain_text(tokenizer, marker):
    text = f"a{marker}b <|user|>{marker[:-1]}"
    specials = {tokenizer.special_id(name) for name in SPECIAL_TOKENS}
    arrays = [np.array(tokenizer.encode(text)), *tokenizer.encode_batch([text, marker])]
    arrays.append(np.fromiter(tokenizer.encode_iterable(text), np.uint32))
    for ids in arrays:
        assert not specials & set(ids.tolist())
    assert tokenizer.decode(arrays[0]) == text


@pytest.mark.fault(16)
def test_a_marker_learned_from_text_is_refused():
    """Even a corpus full of markers makes no merges that end in one."""
    tokenizer = train_bpe(["<|end|> " * 1_000 + "<|end|>" * 1_000], 300, SPECIAL_TOKENS)
    assert tokenizer.special_id("<|end|>") not in tokenizer.encode("<|end|>")


@pytest.mark.fault(41)
@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_a_text_streamed_in_two_pieces_has_the_ids_of_the_whole_wherever_it_is_cut(tokenizer, pattern, monkeypatch):
    monkeypatch.setattr("lm.tokenizer.stream._BLOCK_CHARACTERS", 1)
    encoder = Tokenizer(tokenizer.vocab, tokenizer.merges, SPECIAL_TOKENS, pattern=pattern)
    text = "def f(x):\n    if x:  \n\t\treturn 'it''s'  # 1799\r\n \n  \u3000 <|end|>  \nABCd'LL  \n\n  "
    whole = encoder.encode(text, "all")
    for cut in range(len(text)):
        assert list(encoder.encode_iterable([text[:cut], text[cut:]], "all")) == whole, cut


@pytest.mark.fault(22)
def test_a_flipped_bit_in_a_saved_tokenizer_is_refused(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    whole = path.read_bytes()
    draw = random.Random(3)
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            loaded = Tokenizer.load(tmp_path)
        except InputError as error:
            assert "tokenizer.json" in str(error)
        else:  # white space between values, or the letter case of a hexadecimal digit
            assert loaded.digest == tokenizer.digest
            assert loaded.vocab == tokenizer.vocab


@pytest.mark.fault(22)
def test_a_flipped_bit_in_a_published_tokenizer_is_refused(tokenizer, tmp_path):
    with storage.publish(tmp_path / "t", kind="tokenizer", config={}, inputs={}, code="0") as publication:
        tokenizer.save(publication.path)
    artifact = storage.open_artifact(tmp_path / "t")
    assert Tokenizer.load(artifact).digest == tokenizer.digest
    path = artifact.file("tokenizer.json")
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match=r"tokenizer\.json"):
        Tokenizer.load(tmp_path / "t")
