"""AdamW in one launch: against torch's optimizer in float64, over types, layouts, settings and steps."""

import dataclasses

import pytest
import torch

from lm.errors import ConfigurationError
from lm.kernels import adamw
from lm.kernels.adamw import AdamWSettings, AdamWUpdate, adamw_
from lm.kernels.backend import use_kernels
from lm.training.optimizers import AdamW
from tests.lm.kernels.comparison import assert_near

SHAPES = [(5,), (1,), (33, 130), (3, 7, 11), (0,), (4_096,), (5_000,)]


def parameters(dtype, device):
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape).to(dtype).to(device)) for shape in SHAPES]


def groups(params):
    """Three groups of other rates and decays; the middle one joins late."""
    return [
        {"params": params[:2], "lr": 1e-2, "weight_decay": 0.3},
        {"params": params[2:4], "lr": 3e-3, "weight_decay": 0.0},
        {"params": params[4:], "lr": 1e-3, "weight_decay": 0.1, "betas": (0.8, 0.95), "eps": 1e-4},
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_kernel_follows_torch(device, dtype):
    ours = parameters(dtype, device)
    theirs = [torch.nn.Parameter(p.detach().double().clone()) for p in ours]
    optimizers = AdamW(groups(ours)), torch.optim.AdamW(groups(theirs))
    for step in range(4):
        for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            if step == 0 and index in (2, 3):
                continue
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.double()
        for optimizer in optimizers:
            optimizer.step()
    for mine, other in zip(ours, theirs, strict=True):
        assert_near(mine, other, dtype)


@pytest.mark.parametrize("decay_last", [False, True])
def test_kernel_over_unaligned_views_in_bfloat16(device, decay_last):
    """Parameters and gradients in bfloat16 at odd addresses, a gradient of another layout, moments in float32."""
    torch.manual_seed(0)
    flat = torch.randn(2, 1 + 30 * 41, device=device).bfloat16()
    before = flat.clone()
    parameter, gradient = flat[0, 1:].view(30, 41), flat[1, 1:].view(41, 30).mT
    average, square = torch.randn(30, 41, device=device), torch.rand(30, 41, device=device)
    settings = AdamWSettings(1e-2, (0.9, 0.999), 1e-8, 0.5, 3, decay_last)
    update = AdamWUpdate(parameter, gradient, average, square, settings)
    wide = AdamWUpdate(*(t.double().clone() for t in update.tensors), settings)
    adamw_([update])
    with use_kernels("reference"):
        adamw_([wide])
    assert torch.equal(flat[:, 0], before[:, 0]) and torch.equal(flat[1], before[1])
    for mine, other, dtype in zip(
        update.tensors, wide.tensors, (torch.bfloat16, torch.bfloat16, torch.float32, torch.float32), strict=True
    ):
        assert_near(mine, other, dtype)


def test_kernel_refuses_by_name(device):
    settings = AdamWSettings(1e-2, (0.9, 0.999), 1e-8, 0.5, 1)
    tensors = [torch.ones(3, 4, device=device).mT for _ in range(4)]
    with pytest.raises(ConfigurationError, match=r"kernel adamw: a parameter \[4, 3\] whose elements are not in order"):
        adamw_([AdamWUpdate(*tensors, settings)])
    tensors = [torch.ones(3, device=device) for _ in range(4)]
    mixed = AdamWUpdate(*tensors[:3], tensors[3].double(), dataclasses.replace(settings, step=2))
    with pytest.raises(ConfigurationError, match="kernel adamw: moments of"):
        adamw_([mixed])


@pytest.mark.parametrize("decay_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_loop_on_a_cpu_follows_the_reference(dtype, decay_last):
    torch.manual_seed(0)
    shapes = [(3, 7), (4_097,), (64, 64), (1,), (0,)]
    updates = [
        AdamWUpdate(
            *(torch.rand(shape, dtype=dtype) for _ in range(4)), AdamWSettings(1e-2, (0.9, 0.99), 1e-6, 0.3, step)
        )
        for step, shape in enumerate(shapes, start=1)
    ]
    updates = [
        dataclasses.replace(each, settings=dataclasses.replace(each.settings, decay_last=decay_last))
        for each in updates
    ]
    wide = [AdamWUpdate(*(t.double().clone() for t in each.tensors), each.settings) for each in updates]
    adamw_(updates)
    with use_kernels("reference"):
        adamw_(wide)
    for mine, other in zip(updates, wide, strict=True):
        for ours, theirs in zip(mine.tensors, other.tensors, strict=True):
            torch.testing.assert_close(ours.double(), theirs, rtol=1e-6 if dtype == torch.float32 else 1e-14, atol=1e-8)


def test_the_loop_takes_what_it_can_and_the_reference_the_rest(monkeypatch):
    taken = []
    monkeypatch.setattr(adamw, "_in_one_loop", lambda part: taken.append(("loop", len(part))))
    monkeypatch.setattr(adamw, "_together", lambda part: taken.append(("reference", len(part))))
    settings = AdamWSettings(1e-2, (0.9, 0.99), 1e-6, 0.3, 1)

    def update(change=lambda tensor: tensor, place=0):
        tensors = [torch.rand(4, 6) for _ in range(4)]
        tensors[place] = change(tensors[place])
        return AdamWUpdate(*tensors, settings)

    others = [update(torch.Tensor.bfloat16), update(torch.Tensor.double, 2), update(lambda t: torch.rand(6, 4).mT, 1)]
    adamw_([update(), others[0], update(), *others[1:]])
    with use_kernels("reference"):
        adamw_([update()])
    assert taken == [("loop", 2), ("reference", 3), ("reference", 1)]
