"""How many bytes training and generation take, and what fits.

Counted: weights, gradients and AdamW's two moments in float32, the activations that autograd keeps, the output layer's
    chunk of logits.
The float32 count of activations is held to the tensors that autograd really saves by a test; the one under bfloat16
autocast is derived from the same list with 2 bytes for the inputs of matrix products, and not measured yet.
Not counted: the allocator's rounding and the kernels' workspaces.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lm.accounting.parameters import CONVOLUTION, count_parameters
from lm.model.config import ModelConfig

Precision = Literal["float32", "bfloat16"]
_FLOAT32 = 4
_INT64 = 8


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
    weights = _FLOAT32 * count_parameters(config).total
    tokens = microbatch_size * config.context_length
    chunk = min(tokens, chunk_tokens)
    head = config.vocab_size * config.d_model * _FLOAT32
    return TrainingMemory(
        weights=weights,
        gradients=weights,
        moments=2 * weights,
        activations=tokens * activation_bytes_per_token(config, precision),
        # A chunk's logits and their gradient, and the weight's gradient that waits for the backward pass.
        output_layer=2 * chunk * config.vocab_size * _FLOAT32 + head,
    )


def activation_bytes_per_token(config: ModelConfig, precision: Precision = "float32") -> int:
    """What autograd keeps of one token, from the embedding to the loss.

    A layer keeps for its two norms the input, the inverse root and, in float32, the normalized vector; then the inputs
    of all products: the normed stream (twice), q, k, v, the attention's result (as it left the kernel, and joined over
    the heads) with its normalizers, and four vectors of d_ff (W₁x, silu of it, W₃x, their product).
    """
    product = _FLOAT32 if precision == "float32" else 2
    norm = _FLOAT32 * (config.d_model + 1) + (_FLOAT32 * config.d_model if precision == "float32" else 0)
    d_kv = config.num_kv_heads * config.d_head
    layer = (
        2 * (norm + product * config.d_model)
        + product * (3 * config.d_model + 2 * d_kv)
        + _FLOAT32 * config.num_heads
        + product * 4 * config.d_ff
    )
    # The last norm, the gradient that the fused output layer has made already, and the id.
    return config.num_layers * layer + norm + product * config.d_model + _INT64


def kv_cache_bytes(config: ModelConfig, num_tokens: int, bytes_per_number: int = _FLOAT32) -> int:
    """What a row of `lm.inference.KVCache` takes for `num_tokens` tokens: keys and values of the attention layers (of
    latent attention the latent vectors), and the states of state-space layers in float32, which do not grow.
    """
    heads, d_key, d_value = config.cache_shape
    per_token = config.num_attention_layers * heads * (d_key + d_value) * bytes_per_number
    channels = config.d_inner + 2 * config.d_state
    state = (CONVOLUTION - 1) * channels + config.d_inner * config.d_state
    return per_token * num_tokens + config.num_layers_of("ssm") * state * _FLOAT32


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
