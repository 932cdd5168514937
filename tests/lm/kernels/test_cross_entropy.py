"""Output layer and cross-entropy: the kernels against the plain loss in float64."""

import random

import pytest
import torch

from lm.kernels.cross_entropy import linear_cross_entropy, linear_losses
from tests.lm.kernels.comparison import TOLERANCES, assert_near


def plain(hidden, weight, targets, soft_cap=0.0, z_loss=0.0):
    """The sum from logits written out."""
    logits = hidden @ weight.T
    logits = soft_cap * torch.tanh(logits / soft_cap) if soft_cap else logits
    normalizers = logits.logsumexp(-1)
    nats = (normalizers - logits.gather(-1, targets[:, None])[:, 0]).sum()
    return nats + z_loss * normalizers.square().sum(), nats


def random_cases(count):
    draw = random.Random(0)
    for index in range(count):
        shape = draw.randint(1, 150), draw.randint(1, 300), draw.randint(1, 70)
        yield shape, draw.choice([0.0, 5.0]), draw.choice([0.0, 0.1]), list(TOLERANCES)[index % 4]


def tensors(shape, dtype, device):
    num_tokens, vocab, d_model = shape
    torch.manual_seed(sum(shape))
    hidden, weight = torch.randn(num_tokens, d_model), torch.randn(vocab, d_model) / d_model**0.5
    targets = torch.randint(vocab, (num_tokens,), device=device)
    return hidden.to(device, dtype).requires_grad_(), weight.to(device, dtype).requires_grad_(), targets


@pytest.mark.parametrize(("shape", "soft_cap", "z_loss", "dtype"), [*random_cases(12)])
def test_kernel(device, shape, soft_cap, z_loss, dtype):
    if device.type == "cuda" and dtype == torch.float64:
        pytest.skip("the kernel refuses float64 on a GPU")
    hidden, weight, targets = tensors(shape, dtype, device)
    total, nats = linear_losses(hidden, weight, targets, soft_cap=soft_cap, z_loss=z_loss)
    wide = [part.detach().double().requires_grad_() for part in (hidden, weight)]
    expected, expected_nats = plain(*wide, targets, soft_cap, z_loss)
    assert_near(total, expected, dtype)
    assert_near(nats, expected_nats, dtype)
    found = torch.autograd.grad(total, (hidden, weight))
    for ours, theirs in zip(found, torch.autograd.grad(expected, wide), strict=True):
        assert ours.dtype == dtype
        if theirs.norm() > 1e-6:  # a vocabulary of one token has no gradient
            # Slopes of bfloat16 logits carry the rounding of the logits: |logit| · 2⁻⁸ of each probability.
            assert_near(ours, theirs, dtype, factor=3)
    with torch.no_grad():
        assert_near(linear_losses(hidden, weight, targets, soft_cap=soft_cap, z_loss=z_loss)[0], total, dtype)


def test_kernel_at_a_vocabulary_of_262_144_with_large_logits(device, monkeypatch):
    if device.type == "cpu":  # 4,096 tiles take the interpreter minutes
        from lm.kernels.triton import cross_entropy as kernels

        monkeypatch.setitem(kernels._TILES, 4, kernels._Tile(16, 4_096, 16, 8, 2))
    hidden, weight, targets = tensors((3, 262_144, 16), torch.float32, device)
    hidden = (100 * hidden.detach()).requires_grad_()
    total = linear_cross_entropy(hidden, weight, targets)
    wide = [part.detach().double().requires_grad_() for part in (hidden, weight)]
    expected = plain(*wide, targets)[0]
    assert_near(total, expected, torch.float32)
    found = torch.autograd.grad(total, (hidden, weight))
    for ours, theirs in zip(found, torch.autograd.grad(expected, wide), strict=True):
        assert_near(ours, theirs, torch.float32, factor=50)  # logits near 400 carry 2⁻²⁴ · 400 into each exponent


def test_kernel_turns_a_target_outside_of_the_vocabulary_into_nan(device):
    hidden, weight, targets = tensors((4, 50, 8), torch.float32, device)
    targets[1] = 50
    assert linear_cross_entropy(hidden, weight, targets).isnan()


@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # by torch's own compiler
def test_kernel_under_the_compiler(device):
    hidden, weight, targets = tensors((5, 40, 8), torch.float32, device)

    def work(hidden, weight):
        return linear_cross_entropy(hidden, weight, targets, soft_cap=3.0, z_loss=0.1)

    compiled = torch.compile(work, fullgraph=True, backend="aot_eager")
    found, expected = (torch.autograd.grad(run(hidden, weight), (hidden, weight)) for run in (compiled, work))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
