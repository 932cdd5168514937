"""Named shapes of models: small ones for a CPU, and those of GPT-2, Llama 3.2 and Qwen3.

A preset named after another model has that model's exact parts. `gpt2_*`: learned positions, LayerNorm, a plain GELU
layer, biases, scaled residual projections. `llama_*`: the stretched RoPE of Llama 3.2. `qwen3_*`: normalized queries
and keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lm.configuration import from_mapping, unknown_key
from lm.errors import ConfigurationError
from lm.model.config import ModelConfig

_GPT2: Mapping[str, Any] = {
    "vocab_size": 50_257,
    "context_length": 1_024,
    "position": "learned",
    "norm": "layer",
    "ffn": "gelu",
    "bias": True,
    "tie_embeddings": True,
    "scaled_residuals": True,
}
_LLAMA3_2: Mapping[str, Any] = {
    "vocab_size": 128_256,
    "context_length": 8_192,  # its stretched RoPE reaches 131,072
    "num_kv_heads": 8,
    "rope_theta": 500_000.0,
    "rope_layout": "half",
    "rope_factor": 32.0,
    "rope_original_context": 8_192,
    "tie_embeddings": True,
}
_QWEN3: Mapping[str, Any] = {
    "vocab_size": 151_936,
    "context_length": 40_960,
    "num_kv_heads": 8,
    "d_head": 128,
    "qk_norm": True,
    "rope_theta": 1_000_000.0,
    "rope_layout": "half",
    "norm_epsilon": 1e-6,
    "tie_embeddings": True,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "test": {
        "vocab_size": 128,
        "context_length": 32,
        "d_model": 32,
        "num_layers": 2,
        "num_heads": 4,
        "num_kv_heads": 2,
    },
    "tiny_cpu": {
        "vocab_size": 4_096,
        "context_length": 256,
        "d_model": 128,
        "num_layers": 4,
        "num_heads": 4,
        "tie_embeddings": True,
    },
    "small_cpu": {"vocab_size": 8_192, "context_length": 512, "d_model": 384, "num_layers": 6, "num_heads": 6},
    "gpt2_124m": {**_GPT2, "d_model": 768, "num_layers": 12, "num_heads": 12},
    "gpt2_355m": {**_GPT2, "d_model": 1_024, "num_layers": 24, "num_heads": 16},
    "gpt2_1558m": {**_GPT2, "d_model": 1_600, "num_layers": 48, "num_heads": 25},
    "llama_1b": {**_LLAMA3_2, "d_model": 2_048, "num_layers": 16, "num_heads": 32, "d_ff": 8_192},
    "llama_3b": {**_LLAMA3_2, "d_model": 3_072, "num_layers": 28, "num_heads": 24, "d_ff": 8_192},
    "qwen3_0_6b": {**_QWEN3, "d_model": 1_024, "num_layers": 28, "num_heads": 16, "d_ff": 3_072},
    "qwen3_1_7b": {**_QWEN3, "d_model": 2_048, "num_layers": 28, "num_heads": 16, "d_ff": 6_144},
}
"""Name to the fields of a `ModelConfig`."""


def preset(name: str, **overrides: Any) -> ModelConfig:
    """Return the preset `name` with some fields replaced.

    An override of `d_model` or `num_heads` leaves what follows from them (`d_ff`, `num_kv_heads`) to be derived again
    where the preset does.

    Raises:
        ConfigurationError: no such preset, no such field, or a combination that cannot work.
    """
    if name not in PRESETS:
        raise ConfigurationError(unknown_key(name, PRESETS, "preset"))
    return from_mapping(ModelConfig, {**PRESETS[name], **overrides}, "model")
