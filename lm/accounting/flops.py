"""Floating-point operations of a model: matrix products alone, a multiplication and an addition counted as two.

Norms, RoPE, softmax and the optimizer are left out: below 2% of the total for all but the smallest models.
"""

from __future__ import annotations

from lm.accounting.parameters import count_parameters
from lm.model.config import ModelConfig


def forward_flops_per_token(config: ModelConfig, num_tokens: int = 0) -> float:
    """Of one token in a sequence of `num_tokens` (0: the whole context), on average over the sequence.

    2 · (weights of the layers and the output) + layers · 4 · d_model · (num_tokens + 1) / 2: a token looks at itself
    and those before it, once for the scores and once for the values.
    """
    seq = num_tokens or config.context_length
    count = count_parameters(config)
    matrices = count.attention + count.feed_forward + config.vocab_size * config.d_model
    return 2.0 * matrices + config.num_layers * 4.0 * config.d_model * (seq + 1) / 2


def training_flops_per_token(config: ModelConfig, num_tokens: int = 0, recompute: bool = False) -> float:
    """Forward and backward, which is twice the forward: one product for the inputs' gradient and one for the weights'.

    `recompute` adds the second forward of activation checkpointing.
    """
    return (4.0 if recompute else 3.0) * forward_flops_per_token(config, num_tokens)
