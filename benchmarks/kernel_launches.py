"""The launches in use, by case: every kernel at the shapes and types of Loam's models, on tensors without memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

WIDTHS = (16, 64, 768, 4_096, 8_192, 16_384)


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a tensor with a shape and a type, but without memory."""
    return torch.empty(shape, dtype=dtype, device="meta")


def _rms_norm(width: int, dtype: torch.dtype, fused: bool) -> None:
    from lm.kernels.triton import rms_norm

    x, weight = empty(8_192, width, dtype=dtype), empty(width)
    residual = x if fused else None
    _, stream, inverse = rms_norm.forward(x, residual, weight, 1e-5, dtype)
    rms_norm.backward(x, residual, stream if fused else x, weight, inverse)


def _layer_norm(width: int, dtype: torch.dtype, fused: bool) -> None:
    from lm.kernels.triton import layer_norm

    x, weight = empty(8_192, width, dtype=dtype), empty(width)
    residual = x if fused else None
    _, stream, mean, inverse = layer_norm.forward(x, residual, weight, weight, 1e-5, dtype)
    layer_norm.backward(x, residual, stream if fused else x, weight, mean, inverse)


def _flash_attention(d_head: int, dtype: torch.dtype, seq: int, is_causal: bool, packed: bool) -> None:
    from lm.kernels.triton import flash_attention, flash_attention_backward

    q, k = empty(4, 16, seq, d_head, dtype=dtype), empty(4, 8, seq, d_head, dtype=dtype)
    bounds = empty(4, seq, dtype=torch.int32) if packed else None
    pattern = (bounds, bounds, is_causal, 1_000 if packed else 0, 0.125)
    output, sums = flash_attention.forward(q, k, k, *pattern)
    flash_attention_backward.backward(q, k, k, output, sums, q, *pattern)


def _cross_entropy(vocab: int, dtype: torch.dtype, soft_cap: float, keep: bool) -> None:
    from lm.kernels.triton import cross_entropy

    hidden, weight = empty(1_024, 2_048, dtype=dtype), empty(vocab, 2_048, dtype=dtype)
    targets = empty(1_024, dtype=torch.int64)
    found = cross_entropy.logits(hidden, weight, targets, soft_cap, keep)
    cross_entropy.slopes(*found, targets, vocab, soft_cap, 1e-4)


def _swiglu(d_ff: int, dtype: torch.dtype) -> None:
    from lm.kernels.triton import swiglu

    both = empty(8_192, 2 * d_ff, dtype=dtype)
    swiglu.backward(swiglu.forward(both), both)


def _rope(d_head: int, dtype: torch.dtype, is_half: bool) -> None:
    from lm.kernels.triton import rope

    joint = empty(4, 2_048, 32 + 8 + 8, d_head, dtype=dtype)
    q, k, _ = joint.split([32, 8, 8], dim=2)
    table = empty(2_048, d_head // 2)
    rope.rotate((q, k), (q, k), table, table, is_half, False)


def _adamw(dtype: torch.dtype) -> None:
    from lm.kernels.triton import adamw

    parameters, moments = [empty(768, 768, dtype=dtype)] * 2, [empty(768, 768)] * 2
    adamw.step(parameters, parameters, moments, moments, torch.zeros(2, 8))


def _minhash(num_permutations: int) -> None:
    from lm.kernels import minhash

    bits = empty(num_permutations, dtype=torch.int32)
    places = empty(8, dtype=torch.int64)
    minhash.launch(
        empty(4_096, dtype=torch.int32),
        (places, places, places),
        bits,
        bits,
        empty(8, num_permutations, dtype=torch.int32),
    )


def _named(kernel: str, *parts: object) -> str:
    return f"{kernel} {', '.join(str(part).removeprefix('torch.') for part in parts if part != '')}"


LAUNCHES: dict[str, Callable[[], None]] = {
    **{
        _named(name, width, dtype, "residual" if fused else ""): partial(launches, width, dtype, fused)
        for name, launches in (("rms_norm", _rms_norm), ("layer_norm", _layer_norm))
        for width in WIDTHS
        for dtype in (torch.bfloat16, torch.float32)
        for fused in (False, True)
    },
    **{
        _named("flash_attention", d_head, dtype, kind): partial(_flash_attention, d_head, dtype, seq, is_causal, packed)
        for d_head, dtype in (
            (64, torch.bfloat16),
            (128, torch.bfloat16),
            (256, torch.bfloat16),
            (64, torch.float32),
            (128, torch.float32),
        )
        for kind, seq, is_causal, packed in (
            ("causal", 8_192, True, False),
            ("bidirectional", 8_192, False, False),
            ("causal 8,190", 8_190, True, False),
            ("documents and window", 8_192, True, True),
        )
    },
    **{
        _named(
            "cross_entropy", vocab, dtype, f"soft cap {soft_cap}" if soft_cap else "", "" if keep else "evaluation"
        ): partial(_cross_entropy, vocab, dtype, soft_cap, keep)
        for vocab, dtype, soft_cap, keep in (
            (50_257, torch.bfloat16, 0.0, True),
            (50_304, torch.bfloat16, 30.0, True),
            (262_144, torch.bfloat16, 30.0, True),
            (50_257, torch.bfloat16, 0.0, False),
            (50_257, torch.float32, 0.0, True),
        )
    },
    **{
        _named("swiglu", d_ff, dtype): partial(_swiglu, d_ff, dtype)
        for d_ff in (3_072, 5_461)
        for dtype in (torch.bfloat16, torch.float32)
    },
    **{
        _named("rope", d_head, dtype, layout): partial(_rope, d_head, dtype, layout == "half")
        for d_head in (64, 128)
        for dtype in (torch.bfloat16, torch.float32)
        for layout in ("interleaved", "half")
    },
    **{_named("adamw", dtype): partial(_adamw, dtype) for dtype in (torch.float32, torch.bfloat16)},
    "minhash 112": partial(_minhash, 112),
}
