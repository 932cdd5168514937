"""LayerNorm: the kernel against float64, gradients against autograd and finite differences, limits and the compiler."""

import pytest
import torch
from torch.nn import functional as F

from lm.errors import ConfigurationError
from lm.kernels.backend import use_kernels
from lm.kernels.layer_norm import add_layer_norm, layer_norm
from lm.kernels.rms_norm import MAX_WIDTH
from tests.lm.kernels.comparison import assert_near
from tests.lm.kernels.test_rms_norm import LARGE, random_cases


def tensors(shape, dtype, device):
    """x, residual, gain and bias."""
    torch.manual_seed(sum(shape))
    made = [torch.randn(shape, dtype=torch.float64) for _ in range(2)]
    made += [torch.randn(shape[-1], dtype=torch.float64) + shift for shift in (1, 0)]
    return [t.to(device, dtype).requires_grad_() for t in made]


@pytest.mark.parametrize(("shape", "dtype"), [*random_cases(12), *LARGE])
def test_values_and_gradients(device, shape, dtype):
    leaves = tensors(shape, dtype, device)
    wide = [t.detach().double().requires_grad_() for t in leaves]
    found = [layer_norm(leaves[0], *leaves[2:]), *add_layer_norm(*leaves)]
    with use_kernels("reference"):
        expected = [layer_norm(wide[0], *wide[2:]), *add_layer_norm(*wide)]
    slopes = [torch.randn_like(t) for t in found]
    found += torch.autograd.grad(found, leaves, slopes)
    expected += torch.autograd.grad(expected, wide, [slope.double() for slope in slopes])
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == dtype
        assert_near(ours, theirs, dtype)


@pytest.mark.parametrize("fused", [False, True])
def test_gradcheck(device, fused):
    x, residual, gain, bias = tensors((3, 17), torch.float64, device)
    if fused:
        assert torch.autograd.gradcheck(add_layer_norm, (x, residual, gain, bias), fast_mode=True)
    else:
        assert torch.autograd.gradcheck(layer_norm, (x, gain, bias), fast_mode=True)


def test_a_large_mean_costs_no_digits(device):
    """The variance is that of the centered row: mean(x²) − mean² would have two digits in float32."""
    x, _, gain, bias = tensors((5, 300), torch.float32, device)
    found = layer_norm((x + 300).detach(), gain, bias)
    expected = F.layer_norm((x + 300).detach().double(), (300,), gain.double(), bias.double())
    assert_near(found, expected, torch.float32, factor=50)


VIEWS = {
    "transposed axes": lambda x: x.transpose(0, 1),
    "part of each row": lambda x: x[..., 3:19],
    "transposed rows": lambda x: x.mT,
    "expanded": lambda x: x[:1, :1].expand(4, 6, 24),
    "empty": lambda x: x[:0],
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_takes_any_strides(device, view):
    torch.manual_seed(0)
    x = view(torch.randn(4, 6, 24, device=device)).requires_grad_()
    gain, bias = (torch.randn(x.shape[-1], device=device) for _ in range(2))
    y, stream = add_layer_norm(x, x, gain, bias)
    gradient = torch.autograd.grad(y.square().sum() + stream.sum(), x)[0]
    with use_kernels("reference"):
        y_expected, stream_expected = add_layer_norm(x, x, gain, bias)
        expected = torch.autograd.grad(y_expected.square().sum() + stream_expected.sum(), x)[0]
    for ours, theirs in ((y, y_expected), (stream, stream_expected), (gradient, expected)):
        assert_near(ours, theirs, torch.float32, factor=5)


def test_stream_in_float32_beside_products_in_bfloat16(device):
    x, residual = torch.randn(3, 40, device=device).bfloat16(), torch.randn(3, 40, device=device)
    leaves = [x.requires_grad_(), residual.requires_grad_()]
    ones, zeros = torch.ones(40, device=device), torch.zeros(40, device=device)
    y, stream = add_layer_norm(*leaves, ones, zeros, dtype=torch.bfloat16)
    assert (y.dtype, stream.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(stream, x.float() + residual)
    gradients = torch.autograd.grad(y.float().sum() + stream.sum(), leaves)
    assert [g.dtype for g in gradients] == [torch.bfloat16, torch.float32]


def test_only_the_sum_or_only_the_norm_is_used(device):
    leaves = tensors((4, 32), torch.float32, device)
    _, stream = add_layer_norm(*leaves)
    for gradient in torch.autograd.grad(stream.sum(), leaves[:2]):
        assert torch.equal(gradient, torch.ones_like(gradient))
    found = torch.autograd.grad(add_layer_norm(*leaves)[0].square().sum(), leaves)
    with use_kernels("reference"):
        expected = torch.autograd.grad(add_layer_norm(*leaves)[0].square().sum(), leaves)
    for ours, theirs in zip(found, expected, strict=True):
        assert_near(ours, theirs, torch.float32, factor=5)


def test_refuses_by_name(device):
    wide, ones = torch.ones(MAX_WIDTH + 1, device=device), torch.ones(4, device=device)
    with pytest.raises(ConfigurationError, match=f"kernel layer_norm: vectors of {MAX_WIDTH + 1}, expected 1 to 16,"):
        layer_norm(wide[None], wide, wide)
    with pytest.raises(ConfigurationError, match=r"kernel layer_norm: shapes \[\[1, 4\], \[4\], \[3\]\]"):
        layer_norm(ones[None], ones, ones[:3])


def test_survives_the_compiler(device):
    leaves = tensors((4, 32), torch.float32, device)

    def work(*leaves):
        y, stream = add_layer_norm(*leaves)
        return (2 * y + stream).square().sum()

    compiled = torch.compile(work, fullgraph=True, backend="aot_eager")
    found, expected = (torch.autograd.grad(call(*leaves), leaves) for call in (compiled, work))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.library.opcheck(torch.ops.loam.layer_norm.default, (*leaves, 1e-5, torch.float32))


def test_reference_is_the_formula():
    x, residual, gain, bias = tensors((3, 17), torch.float64, "cpu")
    y, stream = add_layer_norm(x, residual, gain, bias, 1e-3)
    total = x + residual
    centered = total - total.mean(-1, keepdim=True)
    torch.testing.assert_close(y, gain * centered / (centered.square().mean(-1, keepdim=True) + 1e-3).sqrt() + bias)
    torch.testing.assert_close(stream, total)
