"""Columns of texts as bytes: each text lies where the borders say, sliced or not, of either string type."""

import itertools

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm.errors import InputError
from pipelines.documents.text_buffers import text_buffers


def texts_in(column):
    data, borders = text_buffers(column)
    return [bytes(data[start:end]).decode() for start, end in itertools.pairwise(borders)]


@given(st.lists(st.text(), max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_every_text_lies_between_its_borders(texts, start, length):
    assert texts_in(texts) == texts
    for kind in (pa.string(), pa.large_string()):
        assert texts_in(pa.array(texts, kind).slice(start, length)) == texts[start : start + length]


def test_a_large_column_is_not_copied():
    column = pa.array(["one", "two"], pa.large_string())
    data, _ = text_buffers(column)
    assert data.ctypes.data == column.buffers()[2].address


@pytest.mark.parametrize("texts", [[], [""], ["one"]])
def test_all_arrays_are_of_one_kind(texts):
    arrays = text_buffers(pa.array(texts, pa.large_string()))
    assert [array.flags.writeable for array in arrays] == [False, False]


def test_what_has_no_bytes_is_refused():
    with pytest.raises(InputError, match="1 texts are null"):
        text_buffers(pa.array(["a", None]))
    with pytest.raises(InputError, match=r"not valid Unicode: .* at character 1"):
        text_buffers(["a\ud800"])
