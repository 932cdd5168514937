import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lm.accounting.number_formats import NUMBER_FORMATS, table

BY_NAME = {each.name: each for each in NUMBER_FORMATS}


@pytest.mark.parametrize(
    ("name", "bits", "largest", "smallest", "spacing"),
    [
        ("float32", 32, 3.4028235e38, 2**-126, 2**-23),
        ("tf32", 19, 3.4011621e38, 2**-126, 2**-10),
        ("bfloat16", 16, 3.3895314e38, 2**-126, 2**-7),
        ("float16", 16, 65_504, 2**-14, 2**-10),
        ("fp8 E4M3", 8, 448, 2**-6, 2**-3),
        ("fp8 E5M2", 8, 57_344, 2**-14, 2**-2),
    ],
)
def test_the_formats_are_those_of_their_definitions(name, bits, largest, smallest, spacing):
    found = BY_NAME[name]
    assert (found.bits, found.smallest_normal, found.spacing) == (bits, smallest, spacing)
    assert found.largest == pytest.approx(largest, rel=1e-7)
    assert found.rounded(1 + spacing) == 1 + spacing
    assert found.rounded(1 + 0.49 * spacing) == 1
    assert found.rounded(1 + 0.5 * spacing) == 1  # a tie goes to the even number


@given(st.floats(-1e30, 1e30))
def test_tf32_lies_within_half_a_spacing_and_between_bfloat16_and_float32(value):
    rounded = BY_NAME["tf32"].rounded(value)
    assert abs(rounded - value) <= max(abs(value) * 2**-11, 2.0**-137)
    assert BY_NAME["bfloat16"].rounded(rounded) == pytest.approx(
        float(torch.tensor(rounded, dtype=torch.float64).bfloat16()), abs=0
    )


def test_the_examples_show_overflow_and_underflow():
    assert math.isinf(BY_NAME["float16"].rounded(70_000.0)) and BY_NAME["fp8 E4M3"].rounded(1e-6) == 0
    assert [row["format"] for row in table()] == list(BY_NAME)
