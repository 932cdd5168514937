"""Storage, strides, views and contiguity, and the bytes that each operation allocates, run and measured here.

`python -m lm.accounting tensors` prints the page. Allocations are those that torch's profiler sees, not a claim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from lm.accounting.measured_memory import peak_new_bytes


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation on a contiguous `[1024, 1024]` matrix `x` of float32, and what it returned."""

    code: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    shares_storage: bool
    contiguous: bool
    allocated_bytes: int
    remark: str


_OPERATIONS: tuple[tuple[str, Callable[[Tensor], Tensor], str], ...] = (
    ("x.view(512, 2048)", lambda x: x.view(512, 2_048), "a view: other shape and strides, the same storage"),
    ("x.T", lambda x: x.T, "a view: the strides are swapped"),
    ("x[:, ::2]", lambda x: x[:, ::2], "a view: a stride is doubled"),
    ("x[0].expand(1024, 1024)", lambda x: x[0].expand(1_024, 1_024), "a view: a stride of 0 repeats a row"),
    ("x.T.contiguous()", lambda x: x.T.contiguous(), "a copy in the order of the transpose"),
    ("x.contiguous()", lambda x: x.contiguous(), "nothing: x is contiguous already"),
    ("x.T.reshape(-1)", lambda x: x.T.reshape(-1), "a copy, as no strides describe the result"),
    ("x + 1", lambda x: x + 1, "a new tensor"),
    ("x.add_(1)", lambda x: x.add_(1), "in place"),
    ("x[x[:, 0].argsort()]", lambda x: x[x[:, 0].argsort()], "advanced indexing copies; the indices are int64"),
    ("x.to(torch.float32)", lambda x: x.to(torch.float32), "nothing: x has the type already"),
    ("x.to(torch.bfloat16)", lambda x: x.to(torch.bfloat16), "a copy of half the bytes"),
    ("x @ x", lambda x: x @ x, "only the result is allocated"),
    ("x.softmax(-1)", lambda x: x.softmax(-1), "one new tensor: the maximum and the sum stay in registers"),
    (
        "x.exp() / x.exp().sum(-1, keepdim=True)",
        lambda x: x.exp() / x.exp().sum(-1, keepdim=True),
        "unfused: intermediate tensors are allocated",
    ),
)


def operations() -> Iterator[Operation]:
    """Run every operation once and yield what it made; allocations are the peak during the call."""
    for code, work, remark in _OPERATIONS:
        x = torch.rand(1_024, 1_024)
        made, allocated = peak_new_bytes(lambda work=work, x=x: work(x))  # type: ignore[misc]
        shares = made.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
        yield Operation(code, tuple(made.shape), made.stride(), shares, made.is_contiguous(), allocated, remark)


def page() -> str:
    """Return the page as text."""
    x = torch.rand(1_024, 1_024)
    lines = [
        "x = torch.rand(1024, 1024): "
        f"{x.untyped_storage().nbytes():,} bytes of storage, strides {x.stride()}: element (i, j) lies at 1024 i + j",
        "",
        f"{'operation':<42}{'shape':<16}{'strides':<12}{'storage':<9}{'contiguous':<12}{'allocates':>12}  remark",
    ]
    for each in operations():
        storage = "shared" if each.shares_storage else "own"
        lines.append(
            f"{each.code:<42}{each.shape!s:<16}{each.strides!s:<12}{storage:<9}"
            f"{'yes' if each.contiguous else 'no':<12}{each.allocated_bytes:>12,}  {each.remark}"
        )
    return "\n".join(lines)
