"""Floating-point operations of a model: matrix products alone, a multiplication and an addition counted as two.

Norms, RoPE, softmax, convolutions and the optimizer are left out: below 2% of the total for all but the smallest
models.
"""

from __future__ import annotations

from lm.accounting.parameters import attention_matrices, mlp_matrices, state_space_matrices
from lm.model.config import ModelConfig

CHUNK = 64
"""Tokens of a chunk of a state-space layer, as `lm.model.ssm` cuts them."""


def forward_flops_per_token(config: ModelConfig, num_tokens: int = 0) -> float:
    """Of one token in a sequence of `num_tokens` (0: the whole context), on average over the sequence.

    2 · (weights that a token goes through, of the layers and the output) + 4 · heads · d_head for each attended key of
    an attention layer, the token itself included: 2 for the scores and 2 for the values.
    """
    seq = num_tokens or config.context_length
    weights = (
        config.num_attention_layers * attention_matrices(config)
        + config.num_layers_of("ssm") * state_space_matrices(config)
        + config.num_layers * _active_feed_forward(config)
        + config.vocab_size * config.d_model
    )
    a_key = 2.0 * config.num_heads * (2 * config.d_head + config.d_rope)
    attended_keys = config.num_layers_of("full") * (seq + 1) / 2
    attended_keys += config.num_layers_of("window") * _mean_window(min(config.window, seq), seq)
    return 2.0 * weights + attended_keys * a_key + config.num_layers_of("ssm") * _scan(config, min(CHUNK, seq))


def training_flops_per_token(config: ModelConfig, num_tokens: int = 0, recompute: bool = False) -> float:
    """Forward and backward, which is twice the forward: one product for the inputs' gradient and one for the weights'.

    `recompute` adds the second forward of activation checkpointing.
    """
    return (4.0 if recompute else 3.0) * forward_flops_per_token(config, num_tokens)


def _active_feed_forward(config: ModelConfig) -> int:
    if not config.num_experts:
        return mlp_matrices(config)
    return config.experts_per_token * mlp_matrices(config) + config.num_experts * config.d_model


def _mean_window(window: int, seq: int) -> float:
    """The mean of min(i, window) over i = 1 … seq."""
    return window - window * (window - 1) / 2 / seq if window else 0.0


def _scan(config: ModelConfig, chunk: int) -> float:
    """Inside a chunk every pair of its tokens, as the kernel computes them; between chunks the state, made and read."""
    inside = chunk * (config.d_state + config.d_inner)
    return 2.0 * (inside + 2 * config.d_state * config.d_inner)
