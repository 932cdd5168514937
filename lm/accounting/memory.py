"""Memory of training and generation, and the largest microbatch that fits.

Counted: weights, gradients and AdamW's two moments in float32, the activations that autograd keeps
(`lm.accounting.activations`), the output layer's chunk of logits.
Not counted: the allocator's rounding and the kernels' workspaces.
"""

from __future__ import annotations

from dataclasses import dataclass

from lm.accounting.activations import FLOAT32, Precision, activation_bytes_per_token, mask_bytes
from lm.accounting.parameters import count_parameters
from lm.model.config import CONVOLUTION_TOKENS, ModelConfig


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes by purpose."""

    weights: int
    gradients: int
    moments: int
    activations: int
    output_layer: int

    @property
    def total(self) -> int:
        """All of them at the peak, the end of the forward pass."""
        return self.weights + self.gradients + self.moments + self.activations + self.output_layer


def training_memory(
    config: ModelConfig, microbatch_size: int, *, precision: Precision = "float32", chunk_tokens: int = 8_192
) -> TrainingMemory:
    """Of one training step with AdamW over a microbatch of whole contexts."""
    weights = FLOAT32 * count_parameters(config).total
    tokens = microbatch_size * config.context_length
    chunk = min(tokens, chunk_tokens)
    head = config.vocab_size * config.d_model * FLOAT32
    return TrainingMemory(
        weights=weights,
        gradients=weights,
        moments=2 * weights,
        activations=tokens * activation_bytes_per_token(config, precision) + mask_bytes(config),
        # A chunk's logits and their gradient, and the weight's gradient that waits for the backward pass.
        output_layer=2 * chunk * config.vocab_size * FLOAT32 + head,
    )


def kv_cache_bytes(config: ModelConfig, num_tokens: int, bytes_per_number: int = FLOAT32) -> int:
    """Return the bytes of a row of `lm.inference.KVCache` for `num_tokens` tokens: keys and values of the attention
    layers (of latent attention the latent vectors), and the states of state-space layers in float32, which do not grow.
    """
    heads, d_key, d_value = config.cache_shape
    per_token = config.num_attention_layers * heads * (d_key + d_value) * bytes_per_number
    channels = config.d_inner + 2 * config.d_state
    state = (CONVOLUTION_TOKENS - 1) * channels + config.d_inner * config.d_state
    return per_token * num_tokens + config.num_layers_of("ssm") * state * FLOAT32


def largest_microbatch(config: ModelConfig, memory_bytes: int, *, precision: Precision = "bfloat16") -> int:
    """The most windows of a whole context that fit into `memory_bytes`; 0 where not even one does."""
    low, high = 0, 1
    while training_memory(config, high, precision=precision).total <= memory_bytes:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        fits = training_memory(config, middle, precision=precision).total <= memory_bytes
        low, high = (middle, high) if fits else (low, middle)
    return low
