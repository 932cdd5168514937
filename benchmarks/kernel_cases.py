"""Cases of `benchmarks.kernels`: each kernel with its inputs, its peers, and the least bytes and operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from lm.kernels.adamw import AdamWSettings, AdamWUpdate, adamw_
from lm.kernels.cross_entropy import linear_cross_entropy
from lm.kernels.layer_norm import add_layer_norm, layer_norm
from lm.kernels.rms_norm import add_rms_norm, rms_norm
from lm.kernels.rope import rope_
from lm.kernels.swiglu import swiglu


@dataclass(frozen=True, slots=True)
class Work:
    """Equivalent calls of the kernel and its peers; `backward` takes the result of a call.

    `items` is the number of things that a call handles, and their name.
    """

    kernel: Callable[[], Any]
    peers: Mapping[str, Callable[[], Any]]
    backward: Callable[[Any], Any]
    forward_bytes: float = 0.0
    both_bytes: float = 0.0
    forward_flops: float = 0.0
    both_flops: float = 0.0
    items: tuple[float, str] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A kernel at one shape, and its targets.

    `target` is the least share of the copy's bandwidth (of the product's rate), `least_speeds` the least speed in that
    of a peer by the peer's name, `max_memory_share` the largest peak of memory in that of eager.
    """

    name: str
    make: Callable[[torch.device], Work]
    target: float | None = field(default=None)
    least_speeds: Mapping[str, float] = field(default_factory=dict)
    max_memory_share: float | None = None


def _rms_norm_case(rows: int, width: int) -> Case:
    wide = width >= 4_096
    least_speeds = {"torch.compile": 1.0} if wide else {}
    return Case(f"RMSNorm, width {width:,}", partial(_norm, rows, width, False), 0.9 if wide else None, least_speeds)


def _cross_entropy_case(tokens: int, d_model: int, vocab: int) -> Case:
    # At most a quarter of eager's memory in at most 1.1 times its time.
    least_speeds = {"eager": 1 / 1.1} if vocab >= 100_000 else {}
    name, make = f"linear + cross-entropy, vocabulary {vocab:,}", partial(_cross_entropy, tokens, d_model, vocab)
    return Case(name, make, least_speeds=least_speeds, max_memory_share=0.25)


def cases(*, toy: bool) -> list[Case]:
    """Return all cases; a toy case takes seconds in the interpreter."""
    widths = (64,) if toy else (768, 2_048, 4_096, 8_192, 16_384)
    rows = 8 if toy else 16_384
    shapes = ((16, 64, 96),) if toy else ((16_384, 768, 50_304), (8_192, 4_096, 128_256), (4_096, 2_304, 262_144))
    return [
        *(_rms_norm_case(rows, width) for width in widths),
        *(Case(f"RMSNorm with residual, width {w:,}", partial(_norm, rows, w, True), None) for w in widths),
        *(Case(f"LayerNorm, width {w:,}", partial(_layer_norm, rows, w, False)) for w in widths[:3]),
        *(Case(f"LayerNorm with residual, width {w:,}", partial(_layer_norm, rows, w, True)) for w in widths[:1]),
        *(_cross_entropy_case(*shape) for shape in shapes),
        Case("SwiGLU", partial(_swiglu, rows, 32 if toy else 8_192)),
        Case("RoPE in place", partial(_rope, 2, 8 if toy else 4_096, 16 if toy else 128)),
        Case("AdamW", partial(_adamw, 100 if toy else 124_000_000)),
        Case("MinHash", partial(_minhash, 4 if toy else 20_000)),
    ]


def _type(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def _peers(device: torch.device, call: Callable[[], Any], liger: Callable[[], Any] | None = None) -> dict[str, Any]:
    """Return the peers: eager, on a GPU also compiled, and Liger if it is installed."""
    found = {"eager": call}
    if device.type == "cuda":
        found["torch.compile"] = torch.compile(call, dynamic=False)
    return found if liger is None else {**found, "Liger": liger}


def _liger(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = getattr(import_module("liger_kernel.transformers.functional"), name)
    return found


def _norm(rows: int, width: int, fused: bool, device: torch.device) -> Work:
    x, residual = _streams(rows, width, device)
    weight = torch.randn(width, device=device, requires_grad=True)
    call = partial(add_rms_norm, x, residual, weight) if fused else partial(rms_norm, x, weight)
    liger = None
    if device.type == "cuda" and not fused and find_spec("liger_kernel"):
        liger = partial(_liger("liger_rms_norm"), x, weight, 1e-5)
    return _norm_work(call, (x, residual, weight) if fused else (x, weight), liger)


def _layer_norm(rows: int, width: int, fused: bool, device: torch.device) -> Work:
    x, residual = _streams(rows, width, device)
    weight, bias = (torch.randn(width, device=device, requires_grad=True) for _ in range(2))
    if fused:
        return _norm_work(partial(add_layer_norm, x, residual, weight, bias), (x, residual, weight, bias))
    return _norm_work(partial(layer_norm, x, weight, bias), (x, weight, bias))


def _streams(rows: int, width: int, device: torch.device) -> list[Tensor]:
    return [torch.randn(rows, width, device=device, dtype=_type(device), requires_grad=True) for _ in range(2)]


def _norm_work(call: Callable[[], Any], inputs: tuple[Tensor, ...], liger: Callable[..., Any] | None = None) -> Work:
    """Return the work of a norm; a call with a residual returns the sum too."""
    x = inputs[0]
    fused, slope = inputs[1].shape == x.shape, torch.randn_like(x)

    def backward(result: Any) -> Any:
        return torch.autograd.grad(result, inputs, [slope] * len(result) if fused else slope)

    size = x.numel() * x.element_size()
    # Forward: x (and the residual) in, y (and the sum) out. Backward: x, dy (and the sum's gradient) in, dx out.
    forward, back = (4, 4) if fused else (2, 3)
    return Work(call, _peers(x.device, call, liger), backward, forward * size, (forward + back) * size)


def _cross_entropy(tokens: int, d_model: int, vocab: int, device: torch.device) -> Work:
    hidden = torch.randn(tokens, d_model, device=device, dtype=_type(device), requires_grad=True)
    weight = (torch.randn(vocab, d_model, device=device) / d_model**0.5).to(_type(device)).requires_grad_()
    targets = torch.randint(vocab, (tokens,), device=device)

    def eager() -> Tensor:
        return torch.nn.functional.cross_entropy((hidden @ weight.T).float(), targets, reduction="sum")

    call = partial(linear_cross_entropy, hidden, weight, targets)

    def backward(result: Tensor) -> Any:
        return torch.autograd.grad(result, (hidden, weight))

    liger = None
    if device.type == "cuda" and find_spec("liger_kernel"):
        liger = partial(_liger("liger_fused_linear_cross_entropy"), hidden, weight, targets, reduction="sum")
    flops = 2.0 * tokens * d_model * vocab
    return Work(call, _peers(device, eager, liger), backward, both_flops=3 * flops)


def _swiglu(rows: int, d_ff: int, device: torch.device) -> Work:
    both = torch.randn(rows, 2 * d_ff, device=device, dtype=_type(device), requires_grad=True)
    slope = torch.randn(rows, d_ff, device=device, dtype=_type(device))
    size = rows * d_ff * both.element_size()
    call = partial(swiglu, both)

    def backward(result: Tensor) -> Any:
        return torch.autograd.grad(result, both, slope)

    return Work(call, _peers(device, call), backward, 3 * size, 8 * size)


def _rope(batch: int, seq: int, d_head: int, device: torch.device) -> Work:
    q, k = (torch.randn(batch, seq, heads, d_head, device=device, dtype=_type(device)) for heads in (16, 8))
    cos, sin = (torch.randn(seq, d_head // 2, device=device) for _ in range(2))
    call = partial(rope_, q, k, cos, sin, "half")
    size = 2 * (q.numel() + k.numel()) * q.element_size()
    return Work(call, _peers(device, call), lambda result: result, forward_bytes=size)


def _adamw(count: int, device: torch.device) -> Work:
    sizes = [count // 20] * 20
    settings = AdamWSettings(1e-3, (0.9, 0.95), 1e-8, 0.1, 10)
    updates = []
    for size in sizes:
        parameter, gradient, average, square = (torch.rand(size // 16 * 16 + 16, device=device) for _ in range(4))
        updates.append(AdamWUpdate(parameter, gradient, average, square, settings))
    copies = [update.parameter.clone().requires_grad_() for update in updates]
    for copy, update in zip(copies, updates, strict=True):
        copy.grad = update.gradient
    fused = torch.optim.AdamW(copies, fused=True)
    size = 7 * sum(update.parameter.numel() for update in updates) * 4
    call = partial(adamw_, updates)
    return Work(call, {"eager": call, "torch's fused AdamW": fused.step}, lambda result: result, forward_bytes=size)


def _minhash(documents: int, device: torch.device) -> Work:
    from lm.kernels.minhash import minhash_signatures, minhash_signatures_reference

    words, permutations = 800, 112
    hashes = torch.randint(-(2**31), 2**31, (documents * words,), device=device).int()
    offsets = torch.arange(documents + 1, device=device) * words
    a, b = (torch.randint(-(2**31), 2**31, (permutations,), device=device).int() for _ in range(2))
    few = (hashes[: 4 * words], offsets[:5], a, b)
    return Work(
        partial(minhash_signatures, hashes, offsets, a, b),
        {"reference, 4 documents": partial(minhash_signatures_reference, *few)},
        lambda result: result,
        forward_bytes=4 * hashes.numel(),
        items=(documents, "documents"),
    )
