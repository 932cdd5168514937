"""Weights as decoding wants them: cast once, and laid out for joined products.

A step of decoding reads every weight for a few tokens, so its time is that of the bytes. Weights in float32 would be
read, cast and read again in every step. The twin holds matrices in the type of products; queries, keys and values lie
one behind the other, and so do gate and up, so that their product needs no copy; the vocabulary is padded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lm.kernels.padding import padded_rows
from lm.model import GeGLU, Linear, SwiGLU, TransformerLM
from lm.model.attention import CausalSelfAttention


def decoding_model(model: TransformerLM) -> TransformerLM:
    """Return a twin for decoding on a GPU in 16 bits; the model itself elsewhere."""
    if model.device.type != "cuda" or model.compute_type == torch.float32:
        return model
    return decoding_twin(model)


@torch.no_grad()
def decoding_twin(model: TransformerLM) -> TransformerLM:
    """Return a model that computes the same from its own copy of the matrices, in the type of products.

    Norms, embeddings, routers and state-space recurrences share the model's float32 weights.
    """
    with torch.device("meta"):
        twin = TransformerLM(model.config)
    twin.compute_type = model.compute_type
    dtype = model.compute_type
    twin.load_state_dict(model.state_dict(), strict=True, assign=True)
    for module in twin.modules():
        if (reset := getattr(module, "reset_buffers", None)) is not None:
            reset(model.device)
    for name, module in twin.named_modules():
        if isinstance(module, CausalSelfAttention):
            _lay_side_by_side((module.q_proj, module.k_proj, module.v_proj), dtype)
        elif isinstance(module, SwiGLU | GeGLU):
            _lay_side_by_side((module.w1, module.w3), dtype)
        if isinstance(module, Linear) and not name.endswith("router") and module is not twin.lm_head:
            _set(module, module.weight.to(dtype))
    twin.padded_head = padded_rows(model.lm_head.weight.detach(), dtype)
    return twin.requires_grad_(False).eval()


def _lay_side_by_side(maps: tuple[Linear, ...], dtype: torch.dtype) -> None:
    joined = torch.cat([part.weight.to(dtype) for part in maps])
    for part, weight in zip(maps, joined.split([len(part.weight) for part in maps]), strict=True):
        _set(part, weight)


def _set(part: Linear, weight: Tensor) -> None:
    part.weight = nn.Parameter(weight, requires_grad=False)
