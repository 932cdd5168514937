"""Products in 8 bits: the rounded tensors' products exactly, the exact product nearly, and a training that follows."""

import copy

import pytest
import torch

from lm.errors import ConfigurationError
from lm.kernels.fp8 import BACKWARD, FORWARD, fp8_linear, fp8_linear_reference, quantize
from lm.model import TransformerLM, preset
from lm.training.compute import prepare
from lm.training.loss import cross_entropy
from lm.training.optimizers import AdamW
from tests.lm.kernels.comparison import relative_error


@pytest.fixture
def parts():
    torch.manual_seed(0)
    x, weight = torch.randn(2, 32, 64, requires_grad=True), torch.randn(48, 64, requires_grad=True)
    return x, weight, torch.randn(2, 32, 48)


def test_the_product_of_the_rounded_tensors(parts):
    x, weight, _ = parts
    torch.testing.assert_close(fp8_linear(x, weight), fp8_linear_reference(x, weight), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_forward_and_gradients_are_near_those_of_float32_at_any_scale(parts, scale):
    x, weight, slope = parts
    scaled = (x.detach() * scale).requires_grad_()
    found, expected = (product(scaled, weight) for product in (fp8_linear, torch.nn.functional.linear))
    assert relative_error(found, expected) < 0.05
    for ours, theirs in zip(*(torch.autograd.grad(y, (scaled, weight), slope) for y in (found, expected)), strict=True):
        assert relative_error(ours, theirs) < 0.09


@pytest.mark.parametrize("dtype", [FORWARD, BACKWARD])
def test_the_largest_number_takes_the_largest_of_the_format(dtype):
    t = torch.tensor([-3.0, 0.0, 1.5])
    rounded, inverse = quantize(t, dtype)
    assert rounded.float().abs().max() == torch.finfo(dtype).max
    torch.testing.assert_close(rounded.float() * inverse, t)
    zeros, inverse = quantize(torch.zeros(3), dtype)
    assert not (zeros.float() * inverse).any()


def test_sizes_that_do_not_fit_are_refused():
    for shape, name in (((15, 16, 16), "15 tokens"), ((16, 24, 16), "24 inputs"), ((16, 16, 8), "8 outputs")):
        with pytest.raises(ConfigurationError, match=f"fp8: {name} of a matrix product, expected a multiple of 16"):
            fp8_linear(torch.ones(shape[0], shape[1]), torch.ones(shape[2], shape[1]))


def test_a_training_in_8_bits_follows_that_in_float32():
    torch.manual_seed(0)
    plain = TransformerLM(preset("test", d_ff=96))
    rounded = copy.deepcopy(plain)
    prepare(rounded, fp8=True)
    ids = torch.randint(128, (4, 33))
    losses = []
    for model in (plain, rounded):
        optimizer = AdamW(model.parameters(), lr=3e-3)
        for _ in range(30):
            optimizer.zero_grad()
            loss = cross_entropy(model(ids[:, :-1]), ids[:, 1:])
            loss.backward()
            optimizer.step()
        losses.append(loss.item())
    assert losses[0] != losses[1] and losses[1] == pytest.approx(losses[0], rel=0.05) and losses[0] < 3.5


def test_layers_train_in_8_bits_and_all_else_stays():
    model = TransformerLM(preset("test"))
    ids = torch.randint(128, (1, 32))
    with torch.no_grad():
        before = model(ids)
        prepare(model, fp8=True)
        assert torch.equal(model(ids), before)
    chosen = {name for name, module in model.named_modules() if getattr(module, "fp8", False)}
    assert len(chosen) == 2 * 7 and "lm_head" not in chosen
    assert not torch.equal(model(ids), before)
