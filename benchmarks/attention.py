"""FlashAttention on a GPU against PyTorch's attention: contexts of 128 to 65,536, heads of 16 to 128, two types.

Causal attention counts half of the products of all pairs; the backward counts 2.5 times the forward (five matrix
multiplications against two). Each row is a rate; its peer is `scaled_dot_product_attention` on the same inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.report import Row, finish, parser
from lm.errors import run_command
from lm.kernels.backend import use_kernels
from lm.kernels.flash_attention import flash_attention
from lm.progress import track
from lm.systems.timing import timed_on

CONTEXTS = (8_192, 2_048, 32_768, 512, 65_536, 128, 1_024, 4_096, 16_384, 256)
D_HEADS = (128, 64, 32, 16)
TYPES = (torch.bfloat16, torch.float32)
_TOKENS, _WIDTH = 16_384, 2_048
TARGETS = {("forward", 8_192, 128, torch.bfloat16): 400.0, ("backward", 8_192, 128, torch.bfloat16): 280.0}
"""TFLOP/s on an H100."""


def rows(*, toy: bool = False) -> Iterator[Row]:
    """Yield all rows, the most important first, 'not measured' without a GPU or interpreter."""
    shapes = [(64, 16, torch.float32)] if toy else [(c, d, t) for t in TYPES for d in D_HEADS for c in CONTEXTS]
    runnable = torch.cuda.is_available() or toy
    for context, d_head, dtype in track(shapes, "attention", unit="shape"):
        label = f"context {context:,}, head {d_head}, {str(dtype).removeprefix('torch.')}"
        if runnable:
            yield from _measured(context, d_head, dtype, label, toy)
        else:
            for name in ("forward", "backward", "forward and backward"):
                target = TARGETS.get((name, context, d_head, dtype))
                yield Row(name=f"{name}, {label}", value=None, unit="TFLOP/s", target=target)


def _measured(context: int, d_head: int, dtype: torch.dtype, label: str, toy: bool) -> Iterator[Row]:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch, heads = (1, 2) if toy else (max(1, _TOKENS // context), _WIDTH // d_head)
    q, k, v = (torch.randn(batch, heads, context, d_head, device=device).to(dtype).requires_grad_() for _ in range(3))
    slope = torch.randn_like(q)
    seconds = 0.0 if toy else 0.2
    products = 2 * 2 * batch * heads * context**2 * d_head / 2
    for name, share in (("forward", 1.0), ("backward", 2.5), ("forward and backward", 3.5)):
        times = {}
        for backend, attention in (("kernel", flash_attention), ("SDPA", _sdpa)):
            with use_kernels("triton"):
                work = _work(name, attention, (q, k, v), slope)
                times[backend] = timed_on(device, work, seconds=seconds).median
        yield Row(
            name=f"{name}, {label}",
            value=share * products / times["kernel"] / 1e12,
            unit="TFLOP/s",
            target=TARGETS.get((name, context, d_head, dtype)),
            peer=f"SDPA {share * products / times['SDPA'] / 1e12:.4g} TFLOP/s, "
            f"{times['SDPA'] / times['kernel']:.2f} of its speed",
        )


def _sdpa(q: Tensor, k: Tensor, v: Tensor, is_causal: bool) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)


def _work(
    name: str, attention: Callable[..., Tensor], parts: tuple[Tensor, Tensor, Tensor], slope: Tensor
) -> Callable[[], Any]:
    forward = partial(attention, *parts, True)
    if name == "forward":
        return forward
    if name == "backward":
        return partial(torch.autograd.grad, forward(), parts, slope, retain_graph=True)
    return lambda: torch.autograd.grad(forward(), parts, slope)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    arguments = parser("attention", (__doc__ or "").strip()).parse_args(argv)
    return finish("attention", rows(), arguments)


if __name__ == "__main__":
    run_command(main)
