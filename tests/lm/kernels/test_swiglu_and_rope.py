"""SwiGLU and RoPE: the kernels against float64, gradients, strides and refusals."""

import random

import pytest
import torch

from lm.errors import ConfigurationError
from lm.kernels.rope import rope, rope_
from lm.kernels.swiglu import swiglu
from lm.model.rope import RotaryEmbedding, rotate
from tests.lm.kernels.comparison import TOLERANCES, assert_near


def swiglu_cases(count):
    draw = random.Random(0)
    return [
        ((*[draw.randint(1, 5) for _ in range(draw.randint(0, 3))], 2 * draw.randint(1, 3_000)), dtype)
        for dtype in TOLERANCES
        for _ in range(count)
    ]


@pytest.mark.parametrize(("shape", "dtype"), swiglu_cases(2))
def test_swiglu(device, shape, dtype):
    torch.manual_seed(0)
    x = (3 * torch.randn(shape, device=device)).to(dtype).requires_grad_()
    wide = x.detach().double().requires_grad_()
    gate, up = wide.chunk(2, -1)
    expected = gate * torch.sigmoid(gate) * up
    found = swiglu(x)
    slope = torch.randn_like(found)
    assert_near(found, expected, dtype)
    assert_near(torch.autograd.grad(found, x, slope)[0], torch.autograd.grad(expected, wide, slope.double())[0], dtype)


def test_swiglu_gradcheck_strides_and_compiler(device):
    x = torch.randn(3, 4, 10, dtype=torch.float64, device=device).transpose(0, 1).requires_grad_()
    assert torch.autograd.gradcheck(swiglu, x, fast_mode=True)
    compiled = torch.compile(swiglu, fullgraph=True, backend="aot_eager")
    found, expected = (torch.autograd.grad(run(x).sum(), x)[0] for run in (compiled, swiglu))
    torch.testing.assert_close(found, expected)
    assert swiglu(x[:0]).shape == (0, 3, 5)


def test_swiglu_refuses_an_odd_width():
    with pytest.raises(ConfigurationError, match="swiglu: a last axis of 5"):
        swiglu(torch.ones(2, 5))


def rope_cases(count):
    draw = random.Random(1)
    for index in range(count):
        batch, seq, heads, kv_heads = (draw.randint(1, 5) for _ in range(4))
        layout = ("interleaved", "half")[index % 2]
        yield (batch, seq, heads, kv_heads, 2 * draw.randint(1, 70)), layout, list(TOLERANCES)[index // 2 % 4]


def rope_inputs(shape, dtype, device, *, by_row=False):
    batch, seq, heads, kv_heads, d_head = shape
    torch.manual_seed(sum(shape))
    tables = RotaryEmbedding(d_head, 4 * seq + 5).to(device)
    positions = torch.randint(0, 4 * seq + 5, (batch, seq) if by_row else (seq,), device=device)
    parts = [torch.randn(batch, seq, count, d_head, device=device).to(dtype) for count in (heads, kv_heads)]
    return parts, tables.cos[positions], tables.sin[positions]


@pytest.mark.parametrize("rotation", [rope, rope_])
@pytest.mark.parametrize(("shape", "layout", "dtype"), [*rope_cases(8)])
def test_rope(device, shape, layout, dtype, rotation):
    (q, k), cos, sin = rope_inputs(shape, dtype, device, by_row=shape[1] % 2 == 0)
    leaves = [part.clone().requires_grad_() for part in (q, k)]
    wide = [part.double().requires_grad_() for part in (q, k)]
    expected = [rotate(part, cos.unsqueeze(-2).double(), sin.unsqueeze(-2).double(), layout) for part in wide]
    found = rotation(*[leaf * 1 for leaf in leaves], cos, sin, layout)
    slopes = [torch.randn_like(part) for part in found]
    gradients = torch.autograd.grad(found, leaves, slopes)
    expected += torch.autograd.grad(expected, wide, [slope.double() for slope in slopes])
    for ours, theirs in zip([*found, *gradients], expected, strict=True):
        assert_near(ours, theirs, dtype)


@pytest.mark.parametrize("layout", ["interleaved", "half"])
def test_rope_works_in_place_on_views(device, layout):
    """Queries and keys are parts of one product; nothing but them changes."""
    joint = torch.randn(2, 5, 4 + 2 + 2, 8, device=device)
    before = joint.clone()
    q, k, _ = joint.split([4, 2, 2], dim=2)
    _, cos, sin = rope_inputs((2, 5, 4, 2, 8), torch.float32, device)
    found = rope_(q, k, cos, sin, layout)
    assert found[0].data_ptr() == q.data_ptr() and torch.equal(joint[:, :, 6:], before[:, :, 6:])
    expected = rotate(before[:, :, :6].double(), cos.unsqueeze(-2).double(), sin.unsqueeze(-2).double(), layout)
    assert_near(joint[:, :, :6], expected, torch.float32)


@pytest.mark.parametrize("rotation", [rope, rope_])
def test_rope_of_views_with_gradients(device, rotation):
    """Heads of a projection, as attention has them."""
    torch.manual_seed(0)
    x, weights = torch.randn(2, 3, 8, device=device), [torch.randn(8 * n, 8, device=device) for n in (4, 2)]
    _, cos, sin = rope_inputs((2, 3, 4, 2, 8), torch.float32, device)
    found, expected = [x.clone().requires_grad_() for _ in range(2)]
    q, k = ((found @ w.T).view(2, 3, -1, 8) for w in weights)
    first = sum(part.square().sum() for part in rotation(q, k, cos, sin))
    q, k = ((expected @ w.T).view(2, 3, -1, 8) for w in weights)
    tables = cos.unsqueeze(-2), sin.unsqueeze(-2)
    second = sum(rotate(part, *tables, "interleaved").square().sum() for part in (q, k))
    assert_near(torch.autograd.grad(first, found)[0], torch.autograd.grad(second, expected)[0], torch.float32)


@pytest.mark.parametrize("rotation", [rope, rope_])
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # by torch's own compiler
def test_rope_under_the_compiler(device, rotation):
    (q, k), cos, sin = rope_inputs((2, 3, 2, 1, 8), torch.float32, device)
    leaves = [part.requires_grad_() for part in (q, k)]

    def work(q, k):
        found = rotation(q * 2, k * 2, cos, sin)
        return (found[0].square() * q).sum() + (found[1].square() * k).sum()

    compiled = torch.compile(work, fullgraph=True, backend="aot_eager")
    found, expected = (torch.autograd.grad(run(*leaves), leaves) for run in (compiled, work))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_rope_reference_and_refusals():
    (q, k), cos, sin = rope_inputs((2, 3, 2, 1, 8), torch.float32, "cpu")
    expected = rotate(q, cos.unsqueeze(-2), sin.unsqueeze(-2), "half")
    assert torch.equal(rope_(q.clone(), k, cos, sin, "half")[0], expected)
    with pytest.raises(ConfigurationError, match="expected equal even d_head"):
        rope_(q, k[:, :2], cos, sin)
    with pytest.raises(ConfigurationError, match="layout 'pairs', expected interleaved or half"):
        rope_(q, k, cos, sin, "pairs")
