"""AdamW over all parameters in one launch.

Decisions:
- Tables of addresses stand in for the tensors: a program takes one block of one parameter, which a second table names.
  The tables are copied without a host wait, since gradients may lie elsewhere in every step.
- Learning rate, decay and the corrections of the moments are numbers of a parameter, so that all groups share a launch.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK, NUM_WARPS = 4_096, 8
_TYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16, torch.float64: tl.float64}


def step(
    parameters: list[Tensor], gradients: list[Tensor], averages: list[Tensor], squares: list[Tensor], settings: Tensor
) -> None:
    """Move all parameters of one type; `settings` is `[parameters 8]`, the rows of `AdamWSettings`."""
    device = parameters[0].device
    tensors, starts = _blocks(tuple(parameter.numel() for parameter in parameters), device)
    lists = (parameters, gradients, averages, squares)
    rows = [[t.data_ptr() for t in tensors] for tensors in lists] + [[t.numel() for t in parameters]]
    table = torch.tensor(rows, dtype=torch.int64)
    # Addresses and sizes in whole accesses of 16 bytes, as those of a model are.
    aligned = all(number % 16 == 0 for numbers in rows for number in numbers)
    if device.type == "cuda":
        table = table.pin_memory().to(device, non_blocking=True)
        settings = settings.pin_memory().to(device, non_blocking=True)
    _step[(len(tensors),)](
        table, settings, tensors, starts, len(parameters),
        PARAMETER=_TYPES[parameters[0].dtype], GRADIENT=_TYPES[gradients[0].dtype], MOMENT=_TYPES[averages[0].dtype],
        WIDE=tl.float64 if averages[0].dtype == torch.float64 else tl.float32,
        ALIGNED=aligned, BLOCK=BLOCK, num_warps=NUM_WARPS,
    )  # fmt: skip


@lru_cache(maxsize=8)
def _blocks(sizes: tuple[int, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the parameter of each program, and the element that its block begins at."""
    counts = torch.tensor([triton.cdiv(size, BLOCK) for size in sizes])
    tensors = torch.repeat_interleave(torch.arange(len(sizes)), counts)
    first = counts.cumsum(0) - counts
    starts = (torch.arange(len(tensors)) - first[tensors]) * BLOCK
    return tensors.int().to(device), starts.to(device)


@triton.jit
def _step(
    table_ptr,
    settings_ptr,
    tensors_ptr,
    starts_ptr,
    num_tensors,
    PARAMETER: tl.constexpr,
    GRADIENT: tl.constexpr,
    MOMENT: tl.constexpr,
    WIDE: tl.constexpr,
    ALIGNED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    tensor = tl.load(tensors_ptr + tl.program_id(0))
    start = tl.load(starts_ptr + tl.program_id(0))
    if ALIGNED:
        start = tl.multiple_of(start, BLOCK)
    size = tl.load(table_ptr + 4 * num_tensors + tensor)
    if ALIGNED:
        size = tl.multiple_of(size, 16)
    place = start + tl.arange(0, BLOCK)
    inside = place < size
    parameter_ptr = _pointer(table_ptr + tensor, PARAMETER, ALIGNED) + place
    gradient_ptr = _pointer(table_ptr + num_tensors + tensor, GRADIENT, ALIGNED) + place
    average_ptr = _pointer(table_ptr + 2 * num_tensors + tensor, MOMENT, ALIGNED) + place
    square_ptr = _pointer(table_ptr + 3 * num_tensors + tensor, MOMENT, ALIGNED) + place
    settings = settings_ptr + tensor * 8
    rate, fresh1 = tl.load(settings), tl.load(settings + 1)
    beta2, fresh2 = tl.load(settings + 2), tl.load(settings + 3)  # 1 − β is not made here: 1 − .999 loses 12 bits
    root_correction, epsilon = tl.load(settings + 4), tl.load(settings + 5)
    shrink_first, shrink_last = tl.load(settings + 6), tl.load(settings + 7)
    parameter = tl.load(parameter_ptr, mask=inside, other=0.0).to(WIDE)
    gradient = tl.load(gradient_ptr, mask=inside, other=0.0).to(WIDE)
    average = tl.load(average_ptr, mask=inside, other=0.0).to(WIDE)
    square = tl.load(square_ptr, mask=inside, other=0.0).to(WIDE)
    average = average + fresh1 * (gradient - average)
    square = beta2 * square + fresh2 * gradient * gradient
    moved = average / (tl.sqrt(square) / root_correction + epsilon)
    parameter = (parameter * shrink_first - rate * moved) * shrink_last
    tl.store(parameter_ptr, parameter.to(PARAMETER), mask=inside)
    tl.store(average_ptr, average.to(MOMENT), mask=inside)
    tl.store(square_ptr, square.to(MOMENT), mask=inside)


@triton.jit
def _pointer(entry, TYPE: tl.constexpr, ALIGNED: tl.constexpr):
    """Return the address that a table's entry holds."""
    address = tl.load(entry)
    if ALIGNED:
        address = tl.multiple_of(address, 16)
    pointer = address.to(tl.pointer_type(TYPE))
    return tl.multiple_of(pointer, 16) if ALIGNED else pointer
