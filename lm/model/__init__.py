"""The Transformer, from scratch: its shape, its layers, and its files."""

from typing import TYPE_CHECKING

from lm.lazy import lazy_names

if TYPE_CHECKING:
    from lm.model.attention import CausalSelfAttention, scaled_dot_product_attention, softmax
    from lm.model.block import TransformerBlock
    from lm.model.config import ModelConfig
    from lm.model.context import Context, KVCache, causal_mask
    from lm.model.files import load_model, save_model
    from lm.model.latent_attention import LatentAttention
    from lm.model.linear import Embedding, Linear
    from lm.model.mlp import GeGLU, PlainMLP, SwiGLU, silu
    from lm.model.moe import MixtureOfExperts
    from lm.model.norm import LayerNorm, RMSNorm
    from lm.model.precision import autocast, choose_device
    from lm.model.presets import PRESETS, preset
    from lm.model.rope import RotaryEmbedding
    from lm.model.ssm import StateSpaceLayer
    from lm.model.transformer import TransformerLM

__getattr__ = lazy_names(
    __name__,
    {
        "lm.model.attention": ("CausalSelfAttention", "scaled_dot_product_attention", "softmax"),
        "lm.model.block": ("TransformerBlock",),
        "lm.model.config": ("ModelConfig",),
        "lm.model.presets": ("PRESETS", "preset"),
        "lm.model.context": ("Context", "KVCache", "causal_mask"),
        "lm.model.files": ("load_model", "save_model"),
        "lm.model.latent_attention": ("LatentAttention",),
        "lm.model.linear": ("Embedding", "Linear"),
        "lm.model.mlp": ("GeGLU", "PlainMLP", "SwiGLU", "silu"),
        "lm.model.moe": ("MixtureOfExperts",),
        "lm.model.norm": ("LayerNorm", "RMSNorm"),
        "lm.model.precision": ("autocast", "choose_device"),
        "lm.model.rope": ("RotaryEmbedding",),
        "lm.model.ssm": ("StateSpaceLayer",),
        "lm.model.transformer": ("TransformerLM",),
    },
)

__all__ = [
    "PRESETS",
    "CausalSelfAttention",
    "Context",
    "Embedding",
    "GeGLU",
    "KVCache",
    "LatentAttention",
    "LayerNorm",
    "Linear",
    "MixtureOfExperts",
    "ModelConfig",
    "PlainMLP",
    "RMSNorm",
    "RotaryEmbedding",
    "StateSpaceLayer",
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
