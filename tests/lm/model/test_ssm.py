"""The chunked form of a state-space layer against its recurrence."""

import functools

import pytest
import torch

from lm.model.ssm import causal_convolution, chunked, recurrence
from lm.training.precision import deterministic_kernels

CHUNK = 64


def make(seq, batch=2, heads=3, d_head=4, d_state=5):
    torch.manual_seed(seq)
    u = torch.randn(batch, seq, heads, d_head, dtype=torch.float64)
    log_decay = -0.02 * torch.rand(batch, seq, heads, dtype=torch.float64)  # much lives through a whole chunk
    b, c = torch.randn(2, batch, seq, d_state, dtype=torch.float64)
    state = torch.randn(batch, heads, d_head, d_state, dtype=torch.float64)
    segments = (torch.rand(batch, seq) < 0.05).cumsum(dim=1)
    return [part.requires_grad_() for part in (u, log_decay, b, c, state)], segments


@pytest.mark.parametrize("with_documents", [False, True])
@pytest.mark.parametrize("chunk_length", [CHUNK, 16, 1])
@pytest.mark.parametrize("seq", [1, 2, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 17])
def test_chunks_give_what_the_recurrence_gives(seq, chunk_length, with_documents):
    found = []
    for form in (recurrence, functools.partial(chunked, chunk_length=chunk_length)):
        inputs, segments = make(seq)
        y, state = form(*inputs, segments if with_documents else None)
        (y.square().sum() + state.square().sum()).backward()
        found.append((y, state, *(part.grad for part in inputs)))
    for plain, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, rtol=1e-9, atol=1e-9)


def test_strong_decay_neither_overflows_nor_becomes_nan():
    inputs, _ = make(3 * CHUNK)
    inputs[1] = torch.full_like(inputs[1], -50.0).float().requires_grad_()
    y, state = chunked(*(part.detach().float().requires_grad_() for part in inputs), chunk_length=CHUNK)
    (y.sum() + state.sum()).backward()
    assert y.isfinite().all() and state.isfinite().all()


def test_convolution_equals_torchs_in_one_piece_and_in_two():
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 11, 6), torch.randn(6, 1, 4), torch.randn(6)
    expected = torch.nn.functional.conv1d(x.mT, weight, bias, padding=3, groups=6)[..., :11].mT
    torch.testing.assert_close(causal_convolution(x, weight, bias)[0], expected)
    first, tail = causal_convolution(x[:, :2], weight, bias)
    second, _ = causal_convolution(x[:, 2:], weight, bias, tail)
    torch.testing.assert_close(torch.cat([first, second], dim=1), expected)
    segments = torch.tensor([[0] * 5 + [1] * 6, [0] * 11])
    parted, _ = causal_convolution(x, weight, bias, segments=segments)
    torch.testing.assert_close(parted[1], expected[1])
    torch.testing.assert_close(parted[:1, 5:], causal_convolution(x[:1, 5:], weight, bias)[0])


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))],
)
def test_with_deterministic_kernels_the_numbers_are_the_same(device):
    inputs, segments = make(3 * CHUNK + 5)
    inputs, segments = [part.detach().to(device).requires_grad_() for part in inputs], segments.to(device)
    found = []
    for wanted in (False, True):
        with deterministic_kernels(wanted):
            y, state = chunked(*inputs, segments, chunk_length=CHUNK)
            found.append((y, state, *torch.autograd.grad(y.square().sum() + state.square().sum(), inputs)))
    for plain, repeatable in zip(*found, strict=True):
        torch.testing.assert_close(repeatable, plain, rtol=1e-9, atol=1e-9)
