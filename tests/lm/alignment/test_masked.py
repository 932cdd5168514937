"""Masked sums and means: the formula, what lies outside of the mask, and gradients."""

import math

import pytest
import torch

from lm.alignment import masked_mean, masked_normalize
from lm.alignment.masked import masked_sum

X = torch.tensor([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
MASK = torch.tensor([[True, False, True], [False, True, False]])


@pytest.mark.parametrize(
    ("dim", "sums", "counts"),
    [(None, 21.0, 3), (0, [1.0, 16.0, 4.0], [1, 1, 1]), (1, [5.0, 16.0], [2, 1]), (-1, [5.0, 16.0], [2, 1])],
)
def test_sums_and_means_are_those_of_the_true_places(dim, sums, counts):
    sums, counts = torch.tensor(sums), torch.tensor(counts)
    torch.testing.assert_close(masked_sum(X, MASK, dim), sums)
    torch.testing.assert_close(masked_mean(X, MASK, dim), sums / counts)
    torch.testing.assert_close(masked_normalize(X, MASK, 7.0, dim), sums / 7)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_nothing_outside_of_the_mask_comes_through(poison):
    x = X.masked_fill(~MASK, poison).requires_grad_()
    mean = masked_mean(x, MASK)
    mean.backward()
    assert mean.item() == pytest.approx(7.0)
    torch.testing.assert_close(x.grad, MASK / 3)


def test_another_mask_gives_another_result():
    for wrong in (torch.ones_like(MASK), ~MASK):
        assert masked_mean(X, wrong) != masked_mean(X, MASK)


def test_the_mean_of_nothing_is_nan_and_low_precision_is_summed_in_float32():
    assert masked_mean(X, torch.zeros_like(MASK)).isnan()
    ones = torch.ones(5_000, dtype=torch.bfloat16)
    assert masked_sum(ones, ones.bool()).item() == 5_000
