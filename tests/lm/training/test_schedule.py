import math

import pytest

from lm.training import cosine_schedule


def test_table_of_25_steps():
    """Seven steps of warm-up to 1, a cosine to 0.1 at step 21, then flat: worked out by hand from the formula."""
    expected = [
        *(step / 7 for step in range(7)),
        *(0.1 + 0.45 * (1 + math.cos(math.pi * (step - 7) / 14)) for step in range(7, 21)),
        *([0.1] * 4),
    ]
    actual = [cosine_schedule(step, 1.0, 0.1, 7, 21) for step in range(25)]
    assert actual == pytest.approx(expected)
    assert actual[7] == 1.0 and actual[14] == pytest.approx(0.55) and actual[21] == 0.1


def test_no_warm_up_and_no_cosine():
    assert cosine_schedule(0, 1.0, 0.1, 0, 10) == 1.0
    assert cosine_schedule(5, 1.0, 0.1, 5, 5) == 0.1
