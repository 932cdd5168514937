"""The Transformer, from scratch: its shape, its layers, and its files."""

from typing import TYPE_CHECKING

from lm.lazy import load_on_first_use

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

__getattr__ = load_on_first_use(__name__)
