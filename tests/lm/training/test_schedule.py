import itertools

import pytest

from lm.training import cosine_schedule, linear_schedule, wsd_schedule

COSINE = [
    0, 0.14285714285714285, 0.2857142857142857, 0.42857142857142855, 0.5714285714285714,
    0.7142857142857143, 0.8571428571428571, 1.0, 0.9887175604818206, 0.9554359905560885,
    0.9018241671106134, 0.8305704108364301, 0.7452476826029011, 0.6501344202803414, 0.55,
    0.44986557971965857, 0.3547523173970989, 0.26942958916356996, 0.19817583288938662, 0.14456400944391146,
    0.11128243951817937, 0.1, 0.1, 0.1, 0.1,
]  # fmt: skip
"""Seven steps of warm-up to 1, half a cosine to 0.1 at step 21, then flat."""


def test_table_of_25_steps():
    assert [cosine_schedule(step, 1.0, 0.1, 7, 21) for step in range(25)] == pytest.approx(COSINE, rel=1e-12)


def test_no_warm_up_and_no_cosine():
    assert cosine_schedule(0, 1.0, 0.1, 0, 10) == 1.0
    assert cosine_schedule(5, 1.0, 0.1, 5, 5) == 0.1


def test_linear_is_torchs_after_the_warm_up():
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    theirs = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1.0, end_factor=0.1, total_iters=14)
    for step in range(7, 25):
        assert linear_schedule(step, 1.0, 0.1, 7, 21) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert linear_schedule(3, 1.0, 0.1, 7, 21) == pytest.approx(3 / 7)


def test_wsd_is_flat_and_then_a_line():
    rates = [wsd_schedule(step, 1.0, 0.2, 4, 20, 8) for step in range(24)]
    assert rates[:5] == pytest.approx([0, 0.25, 0.5, 0.75, 1.0])
    assert rates[4:13] == [1.0] * 9
    assert rates[12:21] == pytest.approx([1.0 - 0.1 * k for k in range(9)])
    assert rates[20:] == [0.2] * 4


def test_wsd_leaves_no_leap_where_the_warm_up_reaches_into_the_decay():
    rates = [wsd_schedule(step, 1.0, 0.1, 90, 100, 20) for step in range(101)]
    assert max(rates) == rates[90] == 1.0 and rates[100] == 0.1
    assert max(abs(a - b) for a, b in itertools.pairwise(rates[:91])) < 0.012
    assert max(abs(a - b) for a, b in itertools.pairwise(rates[90:])) < 0.1
