"""Activation checkpointing: less memory between forward and backward, at the cost of recomputation.

    none        autograd keeps what every operation saves
    blocks      of each layer only the input is kept, and the layer is computed again (Chen et al. 2016)
    selective   matrix products and attention are kept too; norms, rotations, activations and casts are computed again

`selective` costs bandwidth alone, no product (Korthikanti et al. 2022, arXiv:2205.05198, section 5). All three give
the same gradient.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from lm.training.config import Recomputation

_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "_scaled_mm", "_grouped_mm", "_scaled_grouped_mm")
_ATTENTION = ("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention")


def recompute(blocks: nn.ModuleList, strategy: Recomputation) -> None:
    """Make the blocks compute their activations again in the backward pass; the names of the weights stay."""
    if strategy == "none":
        return
    contexts: dict[str, Any] = {}
    if strategy == "selective":
        contexts["context_fn"] = functools.partial(create_selective_checkpoint_contexts, kept_operations())
    for block in blocks:
        block.forward = functools.partial(_recomputed, block.forward, contexts)


def kept_operations() -> list[Any]:
    """Return the operations whose results `selective` keeps: products, attention of torch, and Loam's own attention."""
    import lm.kernels.flash_attention  # noqa: F401 - registers the operator

    names = (*_PRODUCTS, *(f"_scaled_dot_product_{kind}" for kind in _ATTENTION))
    found = [getattr(torch.ops.aten, name).default for name in names if hasattr(torch.ops.aten, name)]
    return [*found, torch.ops.loam.flash_attention.default]


def _recomputed(forward: Callable[..., Any], contexts: dict[str, Any], *arguments: Any, **options: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*arguments, **options)
    # The blocks draw no random numbers, so there is no generator's state to keep.
    return checkpoint(forward, *arguments, use_reentrant=False, preserve_rng_state=False, **contexts, **options)
