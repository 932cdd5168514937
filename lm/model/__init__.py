"""The Transformer, from scratch: its shape, its layers, and its files."""

from lm.model.attention import CausalSelfAttention, KVCache, causal_mask, scaled_dot_product_attention, softmax
from lm.model.config import PRESETS, ModelConfig, preset
from lm.model.files import load_model, save_model
from lm.model.linear import Embedding, Linear
from lm.model.mlp import SwiGLU, silu
from lm.model.norm import RMSNorm
from lm.model.precision import autocast, choose_device
from lm.model.rope import RotaryEmbedding
from lm.model.transformer import TransformerBlock, TransformerLM

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
