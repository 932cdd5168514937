"""Decoding: ids in any container to their bytes, and refusals of ids that do not exist."""

import numpy as np
import pytest

from lm.errors import InputError


def test_decoding_takes_lists_and_arrays_and_any_bytes(tokenizer, bytes_only):
    ids = tokenizer.encode_array("né 中")
    assert tokenizer.decode(ids) == tokenizer.decode(ids.tolist()) == "né 中"
    assert bytes_only.decode_bytes([0xE4, 0xB8]) == b"\xe4\xb8"
    assert bytes_only.decode([0xE4, 0xB8]) == "�"
    assert tokenizer.decode([]) == tokenizer.decode(np.empty(0, np.uint32)) == ""
    many = [*range(tokenizer.vocab_size)] * 3
    expected = b"".join(tokenizer.vocab[i] for i in many)
    for few_or_many in (many, np.array(many, np.uint16), iter(many)):
        assert tokenizer.decode_bytes(few_or_many) == expected
    longest = max(tokenizer.vocab, key=lambda i: len(tokenizer.vocab[i]))  # needs more room than is reserved at first
    assert len(tokenizer.vocab[longest]) > 12
    assert tokenizer.decode_bytes([longest] * 500) == tokenizer.vocab[longest] * 500
    for wrong in (-1, tokenizer.vocab_size):
        for ids in ([*many, wrong], np.array([*many, wrong])):
            with pytest.raises(InputError, match=f"token id {wrong}, expected 0 to {tokenizer.vocab_size - 1}"):
                tokenizer.decode(ids)
