"""The Transformer, from scratch: its shape, its layers, and its files."""

from typing import TYPE_CHECKING

from lm.lazy import lazy_names

if TYPE_CHECKING:
    from lm.model.attention import CausalSelfAttention, KVCache, causal_mask, scaled_dot_product_attention, softmax
    from lm.model.config import PRESETS, ModelConfig, preset
    from lm.model.files import load_model, save_model
    from lm.model.linear import Embedding, Linear
    from lm.model.mlp import SwiGLU, silu
    from lm.model.norm import RMSNorm
    from lm.model.precision import autocast, choose_device
    from lm.model.rope import RotaryEmbedding
    from lm.model.transformer import TransformerBlock, TransformerLM

__getattr__ = lazy_names(
    __name__,
    {
        "lm.model.attention": (
            "CausalSelfAttention",
            "KVCache",
            "causal_mask",
            "scaled_dot_product_attention",
            "softmax",
        ),
        "lm.model.config": (
            "PRESETS",
            "ModelConfig",
            "preset",
        ),
        "lm.model.files": (
            "load_model",
            "save_model",
        ),
        "lm.model.linear": (
            "Embedding",
            "Linear",
        ),
        "lm.model.mlp": (
            "SwiGLU",
            "silu",
        ),
        "lm.model.norm": ("RMSNorm",),
        "lm.model.precision": (
            "autocast",
            "choose_device",
        ),
        "lm.model.rope": ("RotaryEmbedding",),
        "lm.model.transformer": (
            "TransformerBlock",
            "TransformerLM",
        ),
    },
)

__all__ = [
    "PRESETS",
    "CausalSelfAttention",
    "Embedding",
    "KVCache",
    "Linear",
    "ModelConfig",
    "RMSNorm",
    "RotaryEmbedding",
    "SwiGLU",
    "TransformerBlock",
    "TransformerLM",
    "autocast",
    "causal_mask",
    "choose_device",
    "load_model",
    "preset",
    "save_model",
    "scaled_dot_product_attention",
    "silu",
    "softmax",
]
