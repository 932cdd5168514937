"""RMSNorm: the kernel against float64, gradients against autograd and finite differences, limits and the compiler."""

import random

import pytest
import torch

from lm.errors import ConfigurationError
from lm.kernels.backend import use_kernels
from lm.kernels.rms_norm import MAX_WIDTH, add_rms_norm, rms_norm
from tests.lm.kernels.comparison import TOLERANCES, assert_near

LARGE = [((2, 8192), torch.bfloat16), ((3, 8200), torch.float32), ((2, 16_384), torch.float32)]


def random_cases(count):
    """Shapes of one to four axes with widths of 16 to 600, each with a type."""
    draw = random.Random(0)
    for _ in range(count):
        leading = [draw.randint(1, 7) for _ in range(draw.randint(0, 3))]
        yield (*leading, draw.randint(16, 600)), draw.choice(list(TOLERANCES))


def tensors(shape, dtype, device):
    torch.manual_seed(sum(shape))
    x, residual = (torch.randn(shape, dtype=torch.float64) for _ in range(2))
    weight = torch.randn(shape[-1], dtype=torch.float64) + 1
    return [t.to(device, dtype).requires_grad_() for t in (x, residual, weight)]


@pytest.mark.parametrize(("shape", "dtype"), [*random_cases(12), *LARGE])
def test_values_and_gradients(device, shape, dtype):
    leaves = tensors(shape, dtype, device)
    wide = [t.detach().double().requires_grad_() for t in leaves]
    found = [rms_norm(leaves[0], leaves[2]), *add_rms_norm(*leaves)]
    with use_kernels("reference"):
        expected = [rms_norm(wide[0], wide[2]), *add_rms_norm(*wide)]
    slopes = [torch.randn_like(t) for t in found]
    found += torch.autograd.grad(found, leaves, slopes)
    expected += torch.autograd.grad(expected, wide, [slope.double() for slope in slopes])
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == dtype
        assert_near(ours, theirs, dtype)


@pytest.mark.parametrize("fused", [False, True])
def test_gradcheck(device, fused):
    x, residual, weight = tensors((3, 17), torch.float64, device)
    if fused:
        assert torch.autograd.gradcheck(add_rms_norm, (x, residual, weight), fast_mode=True)
    else:
        assert torch.autograd.gradcheck(rms_norm, (x, weight), fast_mode=True)


def test_many_rows_use_every_part_of_the_weight_gradient(device):
    """More tiles than programs, and a last tile that is not full."""
    x, _, weight = tensors((3, 5, 16), torch.float32, device)
    rows = torch.randn(5_003, 1_024, device=device).requires_grad_() if device.type == "cuda" else x
    gain = weight if rows is x else torch.ones(1_024, device=device, requires_grad=True)
    found = torch.autograd.grad(rms_norm(rows, gain).square().sum(), gain)[0]
    with use_kernels("reference"):
        expected = torch.autograd.grad(rms_norm(rows.double(), gain.double()).square().sum(), gain)[0]
    assert_near(found, expected, torch.float32)
    again = torch.autograd.grad(rms_norm(rows, gain).square().sum(), gain)[0]
    assert torch.equal(found, again)


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x.transpose(0, 1),
        lambda x: x[:, ::2],
        lambda x: x[..., 3:19],
        lambda x: x.mT,
        lambda x: x[:1, :1].expand(4, 6, 24),
        lambda x: x[:0],
    ],
    ids=["transposed axes", "every second row", "part of each row", "transposed rows", "expanded", "empty"],
)
def test_takes_any_strides(device, view):
    torch.manual_seed(0)
    x = view(torch.randn(4, 6, 24, device=device)).requires_grad_()
    weight = torch.randn(x.shape[-1], device=device)
    y, stream = add_rms_norm(x, x, weight)
    gradient = torch.autograd.grad(y.sum() + stream.sum(), x)[0]
    with use_kernels("reference"):
        y_expected, stream_expected = add_rms_norm(x, x, weight)
        expected = torch.autograd.grad(y_expected.sum() + stream_expected.sum(), x)[0]
    for ours, theirs in ((y, y_expected), (stream, stream_expected), (gradient, expected)):
        assert_near(ours, theirs, torch.float32)


def test_stream_in_float32_beside_products_in_bfloat16(device):
    x, residual = torch.randn(3, 40, device=device).bfloat16(), torch.randn(3, 40, device=device)
    leaves = [x.requires_grad_(), residual.requires_grad_()]
    y, stream = add_rms_norm(*leaves, torch.ones(40, device=device), dtype=torch.bfloat16)
    assert (y.dtype, stream.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(stream, x.float() + residual)
    gradients = torch.autograd.grad(y.float().sum() + stream.sum(), leaves)
    assert [g.dtype for g in gradients] == [torch.bfloat16, torch.float32]


def test_refuses_by_name(device):
    with pytest.raises(ConfigurationError, match=f"kernel rms_norm: vectors of {MAX_WIDTH + 1}, expected 1 to 16,384"):
        rms_norm(torch.ones(1, MAX_WIDTH + 1, device=device), torch.ones(MAX_WIDTH + 1, device=device))
    with pytest.raises(ConfigurationError, match=r"kernel rms_norm: a tensor of torch.int32"):
        rms_norm(torch.ones(1, 4, device=device, dtype=torch.int32), torch.ones(4, device=device))
    with pytest.raises(ConfigurationError, match=r"kernel rms_norm: shapes \[\[1, 4\], \[5\]\]"):
        rms_norm(torch.ones(1, 4, device=device), torch.ones(5, device=device))


def test_survives_the_compiler(device):
    x, residual, weight = tensors((4, 32), torch.float32, device)

    def work(x, residual, weight):
        y, stream = add_rms_norm(x, residual, weight)
        return (2 * y + stream).square().sum()

    compiled = torch.compile(work, fullgraph=True, backend="aot_eager")
    found = torch.autograd.grad(compiled(x, residual, weight), (x, residual, weight))
    expected = torch.autograd.grad(work(x, residual, weight), (x, residual, weight))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.library.opcheck(torch.ops.loam.rms_norm.default, (x, residual, weight, 1e-5, torch.float32))


def test_reference_is_the_formula():
    x, residual, weight = tensors((3, 17), torch.float64, "cpu")
    y, stream = add_rms_norm(x, residual, weight, 1e-3)
    total = x + residual
    expected = weight * total / (total.square().mean(-1, keepdim=True) + 1e-3).sqrt()
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(stream, total)
