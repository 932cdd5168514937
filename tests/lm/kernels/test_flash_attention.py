"""FlashAttention in PyTorch and in Triton against the formula in float64: values, gradients, saved tensors."""

import math
import random

import pytest
import torch

from lm.errors import ConfigurationError
from lm.kernels.backend import use_kernels
from lm.kernels.flash_attention import FlashAttentionPyTorch, FlashAttentionTriton, flash_attention
from lm.kernels.tiled_attention import document_bounds
from tests.lm.kernels.comparison import TOLERANCES, assert_near


def written_out(q, k, v, is_causal=False, window=0, document_ids=None, scale=None):
    """softmax(scale · Q Kᵀ) V and the log-sum-exps, with the scores of all pairs."""
    group = q.shape[-3] // k.shape[-3] if q.ndim > 3 else 1
    k, v = (part.repeat_interleave(group, dim=-3) if group > 1 else part for part in (k, v))
    scores = q @ k.mT * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    rows = torch.arange(q.shape[-2], device=q.device)[:, None]
    columns = torch.arange(k.shape[-2], device=q.device)
    if is_causal:
        scores = scores.masked_fill(columns > rows, -math.inf)
    if window:
        scores = scores.masked_fill(rows - columns >= window, -math.inf)
    if document_ids is not None:
        other = (document_ids[:, :, None] != document_ids[:, None, :]).to(q.device)
        scores = scores.masked_fill(other[:, None] if q.ndim > 3 else other, -math.inf)
    return scores.softmax(-1) @ v, scores.logsumexp(-1)


def random_documents(draw, batch, seq):
    """Ids of documents of 1 to 100 tokens, side by side."""
    rows = []
    for _ in range(batch):
        row, document = [], 0
        while len(row) < seq:
            row += [document] * draw.randint(1, 100)
            document += 1
        rows.append(row[:seq])
    return torch.tensor(rows)


def random_cases(count):
    """Shapes, settings and types; every second case has a window, documents or both, and so equal numbers."""
    draw = random.Random(0)
    for index in range(count):
        batch, kv_heads, group = draw.randint(1, 2), draw.randint(1, 2), draw.randint(1, 3)
        queries, keys, d_head = draw.randint(1, 200), draw.randint(1, 200), draw.choice([3, 16, 40, 64])
        is_causal, settings = draw.random() < 0.5, {}
        if index % 2:
            keys, kind = queries, index // 2 % 3
            if kind != 1:
                is_causal, settings["window"] = True, draw.randint(1, 2 * queries)
            if kind != 0:
                settings["document_ids"] = random_documents(draw, batch, queries)
        shapes = (batch, kv_heads * group, queries, d_head), (batch, kv_heads, keys, d_head)
        yield shapes, {"is_causal": is_causal, **settings}, list(TOLERANCES)[index // 2 % 4]


def leaves(shapes, dtype, device="cpu"):
    torch.manual_seed(sum(shapes[0]))
    sizes = shapes[0], shapes[1], shapes[1]
    return [torch.randn(size, dtype=torch.float64).to(device, dtype).requires_grad_() for size in sizes]


def check(function, shapes, settings, dtype, device="cpu"):
    """Hold output, log-sum-exp and gradients of an autograd function to the formula."""
    parts = leaves(shapes, dtype, device)
    ids = settings.get("document_ids")
    ids = None if ids is None else ids.to(device)
    output = function.apply(*parts, settings.get("is_causal", False), settings.get("window", 0), ids)
    [sums] = [t for t in output.grad_fn.saved_tensors if t.shape == parts[0].shape[:-1] and t.is_floating_point()]
    wide = [part.detach().double().requires_grad_() for part in parts]
    expected, expected_sums = written_out(*wide, **settings)
    slope = torch.randn_like(output)
    found = [output, *torch.autograd.grad(output, parts, slope)]
    wanted = [expected, *torch.autograd.grad(expected, wide, slope.double())]
    assert_near(sums, expected_sums, torch.promote_types(dtype, torch.float32))
    scale = max(float(theirs.detach().norm()) for theirs in wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == dtype
        if theirs.norm() > 1e-6 * scale:  # the gradient of a softmax over one key is 0
            assert_near(ours, theirs, dtype)


@pytest.mark.parametrize(("shapes", "settings", "dtype"), [*random_cases(16)])
def test_pytorch_twin(shapes, settings, dtype):
    check(FlashAttentionPyTorch, shapes, settings, dtype)


@pytest.mark.parametrize(("shapes", "settings", "dtype"), [*random_cases(16)])
def test_kernel(device, shapes, settings, dtype):
    if device.type == "cuda" and dtype == torch.float64:
        pytest.skip("the kernel refuses float64 on a GPU")
    check(FlashAttentionTriton, shapes, settings, dtype, device)


@pytest.mark.parametrize("is_causal", [False, True])
def test_three_axes_save_one_sum_for_each_query(is_causal):
    q, k, v = leaves(((2, 128, 32), (2, 128, 32)), torch.float32)
    output = FlashAttentionPyTorch.apply(q, k, v, is_causal)
    saved = output.grad_fn.saved_tensors
    assert sorted(map(list, (t.shape for t in saved))) == sorted([[2, 128], *[[2, 128, 32]] * 4])
    assert [t.data_ptr() for t in saved[:4]] == [t.data_ptr() for t in (q, k, v, output)]


@pytest.mark.parametrize("is_causal", [False, True])
def test_kernel_over_three_axes(device, is_causal):
    check(FlashAttentionTriton, ((2, 130, 16), (2, 130, 16)), {"is_causal": is_causal}, torch.float32, device)


@pytest.mark.parametrize("function", [FlashAttentionPyTorch, FlashAttentionTriton])
def test_gradcheck(device, function):
    if device.type == "cuda" and function is FlashAttentionTriton:
        pytest.skip("the kernel refuses float64 on a GPU")
    parts = leaves(((1, 2, 4, 3), (1, 1, 4, 3)), torch.float64, device)
    assert torch.autograd.gradcheck(lambda *p: function.apply(*p, True, 2), parts, fast_mode=True)


def test_strides_of_a_joint_projection(device):
    """Queries, keys and values are views of one product; heads stand behind the tokens in memory."""
    torch.manual_seed(0)
    joint = torch.randn(2, 40, 4 + 2 + 2, 16, device=device, requires_grad=True)
    q, k, v = (part.transpose(1, 2) for part in joint.split([4, 2, 2], dim=2))
    output = flash_attention(q, k, v, True)
    expected = written_out(q.double(), k.double(), v.double(), True)[0]
    assert_near(output, expected, torch.float32)
    slope = torch.randn_like(output).transpose(2, 3).contiguous().transpose(2, 3)
    found = torch.autograd.grad(output, joint, slope)[0]
    assert_near(found, torch.autograd.grad(expected, joint, slope.double())[0], torch.float32)


def test_large_scores_stay_finite(device):
    q, k, v = (100 * torch.randn(1, 1, 33, 16, device=device) for _ in range(3))
    output = flash_attention(q, k, v, True)
    assert_near(output, written_out(q.double(), k.double(), v.double(), True)[0], torch.float32, factor=20)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # by torch's own compiler
def test_kernel_survives_the_compiler(device):
    parts = leaves(((2, 4, 24, 16), (2, 2, 24, 16)), torch.float32, device)
    ids = torch.tensor([[0] * 10 + [1] * 14] * 2, device=device)

    def work(*parts):
        return flash_attention(*parts, True, window=9, document_ids=ids).square().sum()

    compiled = torch.compile(work, fullgraph=True, backend="aot_eager")
    found, expected = (torch.autograd.grad(run(*parts), parts) for run in (compiled, work))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    q, k, v = (part.detach().mT.contiguous().mT for part in parts)
    arguments = (q, k, v, None, None, True, 0, 0.3)
    torch.library.opcheck(
        torch.ops.loam.flash_attention.default, arguments, test_utils=("test_schema", "test_faketensor")
    )


def test_document_bounds():
    ids = torch.tensor([[7, 7, 1, 1, 1, 2, 7, 7], [5] * 8])
    starts, ends = document_bounds(ids)
    assert starts.tolist() == [[0, 0, 2, 2, 2, 5, 6, 6], [0] * 8]
    assert ends.tolist() == [[2, 2, 5, 5, 5, 6, 8, 8], [8] * 8]


REFUSED = [
    (((2, 3, 8, 4), (2, 2, 8, 4)), {}, "expected equal batches, and kv heads that divide heads"),
    (((2, 8, 4), (3, 8, 4)), {}, "expected equal batches"),
    (((2, 8, 4), (2, 8, 5)), {}, r"expected \[... seq d_head\]"),
    (((2, 8, 4), (2, 0, 4)), {}, "with keys"),
    (((2, 8, 4), (2, 9, 4)), {"is_causal": True, "window": 2}, "expected equal numbers of keys and queries"),
    (((2, 8, 4), (2, 8, 4)), {"window": 2}, "window 2, expected 0, or more together with is_causal"),
    (((2, 8, 4), (2, 8, 4)), {"is_causal": True, "window": -1}, "window -1"),
    (((2, 8, 4), (2, 8, 4)), {"document_ids": torch.zeros(2, 7)}, r"document_ids \[2, 7\], expected \[2, 8\]"),
]


@pytest.mark.parametrize(("shapes", "settings", "message"), REFUSED)
def test_shapes_that_do_not_fit_are_refused(shapes, settings, message):
    with use_kernels("reference"), pytest.raises(ConfigurationError, match=message):
        flash_attention(*leaves(shapes, torch.float32), **settings)


def test_kernel_refuses_by_name(device):
    with pytest.raises(
        ConfigurationError, match=r"kernel flash_attention: d_head 129 of torch.float32, expected 1 to 128"
    ):
        flash_attention(*leaves(((1, 2, 129), (1, 2, 129)), torch.float32, device))
    q, k, v = leaves(((1, 2, 16), (1, 2, 16)), torch.float32, device)
    with pytest.raises(ConfigurationError, match="expected one type"):
        FlashAttentionTriton.apply(q, k.bfloat16(), v)
