"""Time and memory of a training step over N ranks, by parallelism strategy.

                 weights  gradients  moments    sent a step                                overlaps with
    ddp          P        P          2P         all-reduce of the gradients                backward
    zero1        P        P          2P/N       the same, then a broadcast of the weights  backward; nothing
    zero2        P        P/N        2P/N       reduce-scatter, then all-gather            backward; nothing
    fsdp         P/N      P/N        2P/N       all-gather, all-gather and reduce-scatter  forward; backward
    tensor       P/N      P/N        2P/N       4 all-reduces of the stream a layer        nothing

Where communication overlaps, the longer of the two counts, else their sum. The model knows one bandwidth and no
latency, and lets a layer's communication overlap with any computation of its pass: it is a lower bound of the time.
`benchmarks.parallel` compares it with measured steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lm.accounting.activations import Precision, activation_bytes_per_token
from lm.accounting.communication import Collective, ring_seconds
from lm.accounting.flops import training_flops_per_token
from lm.accounting.parameters import count_parameters
from lm.errors import ConfigurationError
from lm.model.config import ModelConfig

Strategy = Literal["ddp", "zero1", "zero2", "fsdp", "tensor"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
_FLOAT32 = 4
_SHARED: dict[Strategy, tuple[bool, bool, bool]] = {
    "ddp": (False, False, False),
    "zero1": (False, False, True),
    "zero2": (False, True, True),
    "fsdp": (True, True, True),
    "tensor": (True, True, True),
}
"""Weights, gradients and moments that are shared out."""


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds of a step: of computation and of communication alone, and of both as they overlap."""

    compute_s: float
    communication_s: float
    total_s: float

    @property
    def exposed_s(self) -> float:
        """Return the seconds of communication that no computation hides."""
        return self.total_s - self.compute_s


def step_time(
    config: ModelConfig,
    strategy: Strategy,
    *,
    tokens_per_rank: float,
    num_ranks: int,
    flops_per_s: float,
    bytes_per_s: float,
    bytes_per_number: int = 4,
    latency_s: float = 0.0,
) -> StepTime:
    """Return the time of one step of AdamW, without the update itself.

    Args:
        tokens_per_rank: of the batch; with `tensor` all ranks of the group see the same ones.
        flops_per_s: what a rank reaches in its matrix products, not its peak.
        bytes_per_s: of a rank's link in one direction.
        bytes_per_number: of weights and gradients, or of the stream, as they travel.
    """
    size = bytes_per_number * count_parameters(config).total
    compute = training_flops_per_token(config) * tokens_per_rank / flops_per_s

    def seconds(collective: Collective, size_bytes: float) -> float:
        return ring_seconds(collective, size_bytes, num_ranks, bytes_per_s, latency_s)

    if strategy == "tensor":
        compute /= num_ranks
        stream = bytes_per_number * tokens_per_rank * config.d_model
        sent = 4 * config.num_layers * seconds("all_reduce", stream)
        return StepTime(compute, sent, compute + sent)
    forward, backward = compute / 3, compute * 2 / 3
    gathered = seconds("all_gather", size)
    if strategy == "fsdp":
        scattered = gathered + seconds("reduce_scatter", size)
        return StepTime(compute, gathered + scattered, max(forward, gathered) + max(backward, scattered))
    summed = seconds("reduce_scatter" if strategy == "zero2" else "all_reduce", size)
    after = 0.0 if strategy == "ddp" else gathered
    return StepTime(compute, summed + after, forward + max(backward, summed) + after)


def state_bytes(num_parameters: float, strategy: Strategy, num_ranks: int) -> float:
    """Return a rank's bytes of weights, gradients and AdamW's two moments in float32."""
    parts = zip(_SHARED[strategy], (1, 1, 2), strict=True)
    return _FLOAT32 * num_parameters * sum(number / (num_ranks if shared else 1) for shared, number in parts)


def largest_model(memory_bytes: float, strategy: Strategy, num_ranks: int) -> float:
    """Return the most parameters whose state fits into a rank's memory, with nothing left for activations."""
    return memory_bytes / state_bytes(1, strategy, num_ranks)


def largest_batch(
    config: ModelConfig, memory_bytes: float, strategy: Strategy, num_ranks: int, precision: Precision = "bfloat16"
) -> int:
    """Return the most windows of a whole context whose activations fit beside the state; 0 where none does.

    Tensor parallelism is counted as if it split every activation, which norms and the stream are not.
    """
    left = memory_bytes - state_bytes(count_parameters(config).total, strategy, num_ranks)
    window = config.context_length * activation_bytes_per_token(config, precision)
    return max(0, int(left / (window / (num_ranks if strategy == "tensor" else 1))))


def swiglu_forward_flops(tokens: float, d_model: int, d_ff: int, num_ranks: int = 1) -> float:
    """Return a rank's operations in the three products of a SwiGLU layer split over the ranks: 6 · B · D · D_ff / N."""
    return 6.0 * tokens * d_model * d_ff / num_ranks


def compute_bound_tokens(num_ranks: int, flops_per_s: float, bytes_per_s: float, bytes_per_number: int = 2) -> float:
    """Return the tokens per rank and step from which FSDP computes longer than it communicates.

    A layer of P weights needs 2 P T / F in the forward pass and (N − 1)/N · P b / W for its all-gather; the backward
    pass has twice of both. So T = (N − 1)/N · b F / (2 W), whatever the model.
    """
    if num_ranks < 1 or flops_per_s <= 0 or bytes_per_s <= 0:
        raise ConfigurationError(
            f"num_ranks {num_ranks}, flops_per_s {flops_per_s}, bytes_per_s {bytes_per_s}; expected numbers above 0"
        )
    return (num_ranks - 1) / num_ranks * bytes_per_number * flops_per_s / (2 * bytes_per_s)
