"""Backends of causal attention in training, and the choice among them by measurement.

    kernel   Loam's FlashAttention-2, which also takes windows and documents
    flash    FlashAttention of torch
    cudnn    attention of cuDNN
    flex     FlexAttention of torch with a mask by blocks, for windows too

None of them writes a mask of queries by keys. Documents go to `kernel` alone: their mask by blocks would have to be
made anew for every batch. A choice is made once for a shape, on random inputs, forward and backward together.
"""

from __future__ import annotations

import functools
import logging
import statistics
from collections.abc import Callable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from lm.errors import ConfigurationError
from lm.kernels.flash_attention import flash_attention

_log = logging.getLogger(__name__)

Backend = Literal["kernel", "flash", "cudnn", "flex"]
_SDPA = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}
_WARM_CALLS, _CALLS = 3, 7


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """A shape of attention, by which its backend is chosen; without a limit where `window` is 0."""

    batch: int
    heads: int
    kv_heads: int
    seq: int
    d_head: int
    dtype: torch.dtype
    window: int = 0
    documents: bool = False

    def candidates(self) -> tuple[Backend, ...]:
        """Return the backends that can compute this shape without a dense mask."""
        if self.documents:
            return ("kernel",)
        return ("kernel", "flex") if self.window and self.window < self.seq else ("kernel", "flash", "cudnn", "flex")


def attend_by(
    backend: Backend,
    q: Float[Tensor, "batch heads seq d_head"],
    k: Float[Tensor, "batch kv_heads seq d_head"],
    v: Float[Tensor, "batch kv_heads seq d_head"],
    *,
    window: int = 0,
    segments: Int[Tensor, "batch seq"] | None = None,
    blocks: Any = None,
) -> Float[Tensor, "batch heads seq d_head"]:
    """Compute causal attention by this backend; `blocks` is `causal_blocks` of the sequence and window, for `flex`.

    Raises:
        ConfigurationError: documents or a window for a backend that has none.
    """
    window = window if window < q.shape[-2] else 0
    if backend == "kernel":
        return flash_attention(q, k, v, True, window=window, document_ids=segments)
    if segments is not None or (window and backend != "flex"):
        raise ConfigurationError(f"attention backend {backend}: documents or a window, expected kernel")
    shared = q.shape[1] != k.shape[1]
    if backend == "flex":
        found: Tensor = _flex()(q, k, v, block_mask=blocks, enable_gqa=shared)
        return found
    with sdpa_kernel(_SDPA[backend]):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=shared)


def fastest(
    shape: AttentionShape,
    device: torch.device,
    known: MutableMapping[str, Backend],
    measure: Callable[[Callable[[], Any]], float] | None = None,
) -> Backend:
    """Return the fastest backend for a shape; `known` has earlier choices, and takes this one.

    A backend that fails here (a GPU that is too old, a head that it does not take) is left out, and the log names it
    with its error.
    """
    key = f"{shape}, torch {torch.__version__}, {_name(device)}"
    if key not in known:
        times = dict(_times(shape, device, measure or _seconds))
        known[key] = min(times, key=times.__getitem__) if times else "kernel"
    return known[key]


def _times(
    shape: AttentionShape, device: torch.device, measure: Callable[[Callable[[], Any]], float]
) -> Iterator[tuple[Backend, float]]:
    candidates = shape.candidates()
    if len(candidates) == 1:
        yield candidates[0], 0.0
        return
    sizes = (shape.heads, shape.kv_heads, shape.kv_heads)
    q, k, v = (
        torch.randn(
            shape.batch, shape.seq, heads, shape.d_head, device=device, dtype=shape.dtype, requires_grad=True
        ).transpose(1, 2)
        for heads in sizes
    )
    slope = torch.randn_like(q)
    for backend in candidates:
        try:
            blocks = causal_blocks(shape.seq, shape.window, device) if backend == "flex" else None
            forward = functools.partial(attend_by, backend, q, k, v, window=shape.window, blocks=blocks)
            yield backend, measure(functools.partial(_both, forward, (q, k, v), slope))
        except RuntimeError as error:
            _log.warning(
                "attention backend %s: %s; left out of the choice for %s", backend, " ".join(str(error).split()), shape
            )


def _both(forward: Callable[[], Tensor], parts: tuple[Tensor, ...], slope: Tensor) -> Any:
    return torch.autograd.grad(forward(), parts, slope)


def _seconds(work: Callable[[], Any]) -> float:
    """Return the median of some calls on a GPU, by its own clock."""
    for _ in range(_WARM_CALLS):
        work()
    spans = []
    for _ in range(_CALLS):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        work()
        last.record()
        last.synchronize()
        spans.append(first.elapsed_time(last))
    return statistics.median(spans) / 1e3


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def causal_blocks(seq: int, window: int, device: torch.device) -> Any:
    """Return the mask by blocks of `flex`; making it takes a dense mask once, attention by it none."""
    from torch.nn.attention.flex_attention import create_block_mask

    def seen(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        within = query >= key
        return within & (query - key < window) if window else within

    return create_block_mask(seen, None, None, seq, seq, device=device)


def _flex() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    # Outside of the compiler it would write all scores out.
    plain: Callable[..., Any] = flex_attention
    return plain if torch.compiler.is_compiling() else _compiled_flex()


@functools.cache
def _compiled_flex() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)
