"""Memory of training and generation, and the largest model, microbatch and context that fit.

Counted: weights and gradients in float32, the optimizer's state, the activations that autograd keeps
(`lm.accounting.activations`), the output layer's chunk of logits on the device at hand. On a CPU
`tests/lm/accounting/test_memory.py` holds the peak to that of real steps.
Not counted: the allocator's rounding, the kernels' workspaces, the copies of weights that autocast keeps.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lm.accounting.activations import (
    FLOAT32,
    Device,
    Precision,
    activation_bytes_per_token,
    mask_bytes,
    recomputed_bytes_per_token,
)
from lm.accounting.flops import Recomputation
from lm.accounting.parameters import count_parameters, layer_matrices
from lm.kernels.cross_entropy import chunk_tokens
from lm.model.config import CONVOLUTION_TOKENS, ModelConfig

Optimizer = Literal["adamw", "muon", "sgd"]
BYTES_A_PARAMETER = 16
"""AdamW in float32: weight, gradient and two moments."""
_CHUNK_COPIES = {"cpu": 3, "cuda": 2}
"""Arrays of a chunk's logits that exist at once: torch's own operations make one more than the kernels do."""


@dataclass(frozen=True, slots=True)
class TrainingMemory:
    """Bytes by purpose; `accumulated` where a step has several microbatches, whose gradients wait for one another.
    `logits` are a part of `output_layer`, and gone before the backward pass enters the layers; `recomputed` is the most
    that layers add there when they are computed again; `update` is what the optimizer makes on the way.
    """

    weights: int
    gradients: int
    optimizer_state: int
    activations: int
    output_layer: int
    logits: int
    recomputed: int = 0
    update: int = 0
    accumulated: bool = False

    @property
    def total(self) -> int:
        """The peak of a step: the end of a forward pass, or a layer that is computed again, beside the gradients of the
        microbatch before; or the end of the backward pass, with all gradients; or the optimizer's update.
        """
        waiting = self.gradients if self.accumulated else 0
        middle = self.activations + self.output_layer + max(0, self.recomputed - self.logits) + waiting
        return self.weights + self.optimizer_state + max(middle, self.gradients + max(self.recomputed, self.update))


def training_memory(
    config: ModelConfig,
    microbatch_size: int,
    *,
    precision: Precision = "float32",
    optimizer: Optimizer = "adamw",
    recompute: Recomputation = "none",
    accumulated: bool = False,
    device: Device = "cuda",
) -> TrainingMemory:
    """Return the bytes of one training step over microbatches of whole contexts."""
    weights = FLOAT32 * count_parameters(config).total
    tokens = microbatch_size * config.context_length
    chunk = min(tokens, chunk_tokens(device, config.vocab_size))
    kept, recomputed = activation_bytes_per_token(config, precision), 0
    if recompute != "none":
        kept, recomputed = recomputed_bytes_per_token(
            config, precision, selective=recompute == "selective", device=device
        )
    # A chunk's logits and their gradient, and the weight's gradient that waits for the backward pass.
    logits = _CHUNK_COPIES[device] * chunk * config.vocab_size * FLOAT32
    return TrainingMemory(
        weights=weights,
        gradients=weights,
        optimizer_state=optimizer_state_bytes(config, optimizer),
        activations=tokens * kept + mask_bytes(config),
        output_layer=config.vocab_size * config.d_model * FLOAT32 + logits,
        logits=logits,
        recomputed=tokens * recomputed,
        update=update_bytes(config, optimizer, device),
        accumulated=accumulated,
    )


def optimizer_state_bytes(config: ModelConfig, optimizer: Optimizer) -> int:
    """Return the bytes of the moments: two a weight for AdamW, one for SGD with momentum; of Muon one a weight of the
    layers' matrices and two of all others.
    """
    total = count_parameters(config).total
    numbers = {"adamw": 2 * total, "sgd": total, "muon": 2 * total - layer_matrices(config)}
    return FLOAT32 * numbers[optimizer]


def update_bytes(config: ModelConfig, optimizer: Optimizer, device: Device = "cuda") -> int:
    """Return the most bytes that an update makes beside gradients and moments.

    AdamW makes nothing. SGD makes the decayed gradients of the layers' matrices, of the embedding, or of the output
    layer, one after the other. Muon makes the directions of all matrices and, of those of one shape, the stack, two
    steps of the iteration, and two products with themselves.
    """
    if optimizer == "adamw":
        return 0
    if optimizer == "sgd":
        return FLOAT32 * max(layer_matrices(config), config.vocab_size * config.d_model)
    stacks = _stacks(config)
    wide = FLOAT32 if device == "cpu" else 2
    most = max(
        number * (rows * columns * (FLOAT32 + 2 * wide) + 2 * wide * rows**2) for rows, columns, number in stacks
    )
    return FLOAT32 * layer_matrices(config) + most


def _stacks(config: ModelConfig) -> list[tuple[int, int, int]]:
    """Return rows, columns and number of the matrices of one shape, the shorter side first; latent attention and
    state-space layers, whose shapes are many, are left out."""
    d, d_kv, layers = config.d_model, config.num_kv_heads * config.d_head, config.num_attention_layers
    feed_forward = config.num_layers * max(1, config.num_experts) * (3 if config.is_gated else 2)
    numbers: Counter[tuple[int, int]] = Counter({_sides(d, config.d_ff): feed_forward})
    if not config.latent_rank:
        numbers[_sides(d, config.d_attention)] += 2 * layers
        numbers[_sides(d, d_kv)] += 2 * layers
    return [(*sides, number) for sides, number in numbers.items()]


def _sides(first: int, second: int) -> tuple[int, int]:
    return min(first, second), max(first, second)


def kv_cache_bytes(config: ModelConfig, num_tokens: int, bytes_per_number: int = FLOAT32) -> int:
    """Return the bytes of a row of `lm.inference.KVCache` for `num_tokens` tokens: keys and values of the attention
    layers (of latent attention the latent vectors), and the states of state-space layers in float32, which do not grow.
    """
    heads, d_key, d_value = config.cache_shape
    per_token = config.num_attention_layers * heads * (d_key + d_value) * bytes_per_number
    channels = config.d_inner + 2 * config.d_state
    state = (CONVOLUTION_TOKENS - 1) * channels + config.d_inner * config.d_state
    return per_token * num_tokens + config.num_layers_of("ssm") * state * FLOAT32


def largest_microbatch(
    config: ModelConfig,
    memory_bytes: int,
    *,
    precision: Precision = "bfloat16",
    optimizer: Optimizer = "adamw",
    recompute: Recomputation = "none",
) -> int:
    """Return the most windows of a whole context that fit into `memory_bytes`; 0 where not even one does."""

    def fits(size: int) -> bool:
        memory = training_memory(config, size, precision=precision, optimizer=optimizer, recompute=recompute)
        return memory.total <= memory_bytes

    return _largest(fits)


def largest_context(
    config: ModelConfig, memory_bytes: int, *, precision: Precision = "bfloat16", recompute: Recomputation = "none"
) -> int:
    """Return the longest context of which one window fits into `memory_bytes`; 0 where none does."""

    def fits(length: int) -> bool:
        longer = dataclasses.replace(config, context_length=length)
        return training_memory(longer, 1, precision=precision, recompute=recompute).total <= memory_bytes

    return _largest(fits)


def largest_model(memory_bytes: int, bytes_a_parameter: int = BYTES_A_PARAMETER) -> int:
    """Return the parameters whose training state alone fills `memory_bytes`, without activations."""
    return memory_bytes // bytes_a_parameter


def _largest(fits: Callable[[int], bool], most: int = 2**24) -> int:
    """Return the largest number up to `most` that fits, by bisection; 0 where 1 does not."""
    low, high = 0, 1
    while high < most and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
