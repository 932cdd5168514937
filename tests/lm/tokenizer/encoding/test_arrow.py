"""Arrow string arrays: the ids of their texts, and refusals of arrays that hold other things."""

import pyarrow as pa
import pytest

from lm.errors import InputError


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_documents_in_arrow_are_their_texts(tokenizer, sentences, kind):
    texts = ["", "é 中", *sentences[:20], "", ""]
    array = pa.array(texts, kind)
    lists = tokenizer.encode_documents(array)
    assert lists.type.value_type == pa.uint16()
    assert lists.to_pylist() == [tokenizer.encode(text) for text in texts]
    assert tokenizer.encode_documents(array[3:7]).to_pylist() == [tokenizer.encode(text) for text in texts[3:7]]
    assert tokenizer.encode_documents(pa.chunked_array([array, array[:2]])).to_pylist()[-2:] == lists.to_pylist()[:2]
    assert tokenizer.encode_documents(pa.array([], kind)).to_pylist() == []
    assert tokenizer.encode_documents(pa.array(["", ""], kind)).to_pylist() == [[], []]


def test_documents_that_are_no_texts_are_refused(tokenizer):
    with pytest.raises(InputError, match="an array of int64, expected string or large_string"):
        tokenizer.encode_documents(pa.array([1]))
    with pytest.raises(InputError, match="1 of 2 are null"):
        tokenizer.encode_documents(pa.array(["a", None]))
    offsets, data = pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xf0\x9f")
    broken = pa.Array.from_buffers(pa.string(), 1, [None, offsets, data])
    with pytest.raises(InputError, match="documents: "):
        tokenizer.encode_documents(broken)
