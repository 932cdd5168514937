"""The shape of a model: one frozen dataclass and one table of presets.

Every preset is a decoder-only Transformer of the Llama kind (pre-norm RMSNorm, RoPE, SwiGLU, no biases); a preset named
after another model has that model's size, not its exact parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lm.configuration import from_mapping, unknown_key
from lm.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig:
    """The shape of a `TransformerLM`; the values left at 0 are filled in, so a written configuration is always
    explicit.

    Raises:
        ConfigurationError: a combination that cannot work, with the reason.
    """

    vocab_size: int
    context_length: int
    d_model: int
    num_layers: int
    num_heads: int
    num_kv_heads: int = 0
    """Heads of keys and values: `num_heads` is multi-head attention, fewer is grouped-query, 1 is multi-query; 0
    means `num_heads`.
    """
    d_ff: int = 0
    """Width of the feed-forward layer; 0 means 8/3 d_model rounded up to a multiple of 64, as many weights as two 4
    d_model matrices.
    """
    rope_theta: float = 10_000.0
    rope_layout: Literal["interleaved", "half"] = "interleaved"
    """Which coordinates rotate together: (2k, 2k+1), or (k, k + d_head/2) as in Llama's published weights."""
    norm_epsilon: float = 1e-5
    tie_embeddings: bool = False
    """One matrix for the token embeddings and the output layer."""
    attention: Literal["fused", "reference"] = "fused"
    """`fused` calls torch's kernel, `reference` the formula written out; equal up to rounding."""

    def __post_init__(self) -> None:
        if self.num_kv_heads == 0:
            object.__setattr__(self, "num_kv_heads", self.num_heads)
        if self.d_ff == 0:
            object.__setattr__(self, "d_ff", default_d_ff(self.d_model))
        for name in (
            "vocab_size",
            "context_length",
            "d_model",
            "num_layers",
            "num_heads",
            "num_kv_heads",
            "d_ff",
            "rope_theta",
            "norm_epsilon",
        ):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"model.{name}: {getattr(self, name)}, expected more than 0")
        if self.d_model % self.num_heads:
            raise ConfigurationError(f"model.num_heads: {self.num_heads} does not divide d_model = {self.d_model}")
        if self.num_heads % self.num_kv_heads:
            raise ConfigurationError(
                f"model.num_kv_heads: {self.num_kv_heads} does not divide num_heads = {self.num_heads}"
            )
        if self.d_head % 2:
            raise ConfigurationError(
                f"model.d_model: {self.d_model} / {self.num_heads} heads = {self.d_head} coordinates a head, "
                "which RoPE cannot pair; expected an even number"
            )

    @property
    def d_head(self) -> int:
        """Coordinates of one head."""
        return self.d_model // self.num_heads


def default_d_ff(d_model: int) -> int:
    """8/3 d_model rounded up to a multiple of 64."""
    return -(-8 * d_model // (3 * 64)) * 64


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
    "gpt2_124m": {
        "vocab_size": 50_257,
        "context_length": 1_024,
        "d_model": 768,
        "num_layers": 12,
        "num_heads": 12,
        "tie_embeddings": True,
    },
    "gpt2_355m": {
        "vocab_size": 50_257,
        "context_length": 1_024,
        "d_model": 1_024,
        "num_layers": 24,
        "num_heads": 16,
        "tie_embeddings": True,
    },
    "llama_1b": {
        "vocab_size": 128_256,
        "context_length": 8_192,
        "d_model": 2_048,
        "num_layers": 16,
        "num_heads": 32,
        "num_kv_heads": 8,
        "d_ff": 8_192,
        "rope_theta": 500_000.0,
        "rope_layout": "half",
        "tie_embeddings": True,
    },
}
"""Name to the fields of a `ModelConfig`."""


def preset(name: str, **overrides: Any) -> ModelConfig:
    """The preset `name` with some fields replaced.

    An override of `d_model` or `num_heads` leaves what follows from them (`d_ff`, `num_kv_heads`) to be derived again
    where the preset does.

    Raises:
        ConfigurationError: no such preset, no such field, or a combination that cannot work.
    """
    if name not in PRESETS:
        raise ConfigurationError(unknown_key(name, PRESETS, "preset"))
    return from_mapping(ModelConfig, {**PRESETS[name], **overrides}, "model")
