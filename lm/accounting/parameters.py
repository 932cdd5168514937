"""How many weights a model has, and where."""

from __future__ import annotations

from dataclasses import dataclass

from lm.model.config import ModelConfig


@dataclass(frozen=True, slots=True)
class ParameterCount:
    """Weights by part; `output` is 0 where it is the embedding matrix."""

    embedding: int
    attention: int
    feed_forward: int
    norms: int
    output: int

    @property
    def total(self) -> int:
        """All weights."""
        return self.embedding + self.attention + self.feed_forward + self.norms + self.output

    @property
    def non_embedding(self) -> int:
        """Weights of the layers, which scaling laws often count alone."""
        return self.attention + self.feed_forward + self.norms


def count_parameters(config: ModelConfig) -> ParameterCount:
    """The weights of `TransformerLM(config)`, without making it.

    attention = layers · d (2 d + 2 kv_heads · d_head),  feed_forward = layers · 3 d d_ff
    """
    d, layers = config.d_model, config.num_layers
    d_kv = config.num_kv_heads * config.d_head
    embedding = config.vocab_size * d
    return ParameterCount(
        embedding=embedding,
        attention=layers * d * (2 * d + 2 * d_kv),
        feed_forward=layers * 3 * d * config.d_ff,
        norms=(2 * layers + 1) * d,
        output=0 if config.tie_embeddings else embedding,
    )
