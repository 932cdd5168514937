"""The budget of one training: parameters, FLOPs, bytes, time and cost, before a step is taken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lm.accounting.activations import Precision
from lm.accounting.devices import Device
from lm.accounting.flops import (
    FlopCount,
    Recomputation,
    forward_flops,
    six_n_d,
    training_flops,
    training_flops_per_token,
)
from lm.accounting.memory import Optimizer, TrainingMemory, kv_cache_bytes, largest_context, largest_microbatch
from lm.accounting.memory import training_memory as _training_memory
from lm.accounting.parameters import ParameterCount, count_parameters
from lm.accounting.throughput import seconds_for
from lm.model.config import ModelConfig

DEFAULT_MFU = 0.4
"""By the causal count; published trainings of dense models reach .35 to .55 by the square."""
_DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """All numbers of a training of `num_tokens` on `num_devices` of one kind, each of which holds the whole model."""

    config: ModelConfig
    device: Device
    num_devices: int
    num_tokens: float
    precision: Precision
    utilization: float
    parameters: ParameterCount
    forward: FlopCount
    """Of one whole context, causal."""
    training: FlopCount
    memory: TrainingMemory
    microbatch_size: int
    largest_microbatch: int
    largest_context: int
    flops: float
    """Of the whole training, causal, without what is computed twice."""
    flops_square: float
    flops_6nd: float
    seconds: float
    dollars_an_hour: float

    @property
    def days(self) -> float:
        """Days of wall time."""
        return self.seconds / _DAY_S

    @property
    def device_hours(self) -> float:
        """Hours of all devices together."""
        return self.seconds / 3_600 * self.num_devices

    @property
    def fits(self) -> bool:
        """Return whether the step's peak fits into the memory of one device."""
        return self.memory.total <= self.device.memory_bytes


def budget(
    config: ModelConfig,
    device: Device,
    *,
    num_tokens: float,
    num_devices: int = 1,
    precision: Precision = "bfloat16",
    utilization: float = DEFAULT_MFU,
    microbatch_size: int = 0,
    accumulated: bool = False,
    optimizer: Optimizer = "adamw",
    recompute: Recomputation = "none",
    dollars_an_hour: float = 0.0,
) -> Budget:
    """Return the budget; a `microbatch_size` of 0 is the largest that fits, at least 1.

    Raises:
        ConfigurationError: the device has no rate for the precision.
    """
    room = device.memory_bytes
    most = largest_microbatch(config, room, precision=precision, optimizer=optimizer, recompute=recompute)
    size = microbatch_size or max(1, most)
    # What is computed twice is work of the machine, not of the model: it lowers the utilization that is reached.
    flops = num_tokens * training_flops_per_token(config)
    return Budget(
        config=config,
        device=device,
        num_devices=num_devices,
        num_tokens=num_tokens,
        precision=precision,
        utilization=utilization,
        parameters=count_parameters(config),
        forward=forward_flops(config),
        training=training_flops(config, recompute=recompute),
        memory=_training_memory(
            config,
            size,
            precision=precision,
            optimizer=optimizer,
            recompute=recompute,
            accumulated=accumulated,
            device="cpu" if device.name.startswith("CPU") else "cuda",
        ),
        microbatch_size=size,
        largest_microbatch=most,
        largest_context=largest_context(config, room, precision=precision, recompute=recompute),
        flops=flops,
        flops_square=num_tokens * training_flops_per_token(config, convention="square"),
        flops_6nd=six_n_d(count_parameters(config).total, num_tokens),
        seconds=seconds_for(flops, device.peak(precision), utilization, num_devices),
        dollars_an_hour=dollars_an_hour,
    )


def shares_by_context(config: ModelConfig, lengths: tuple[int, ...]) -> list[dict[str, float]]:
    """Return each component's share of the forward FLOPs as the context grows, causal."""
    return [{"context": length, **forward_flops(config, length).shares()} for length in lengths]


def facts(found: Budget) -> dict[str, Any]:
    """Return the budget as plain numbers."""
    memory = found.memory
    return {
        "parameters": found.parameters.total,
        "non_embedding_parameters": found.parameters.non_embedding,
        "num_tokens": found.num_tokens,
        "flops": found.flops,
        "flops_square": found.flops_square,
        "flops_6nd": found.flops_6nd,
        "weights_bytes": memory.weights,
        "gradients_bytes": memory.gradients,
        "optimizer_state_bytes": memory.optimizer_state,
        "activations_bytes": memory.activations,
        "output_layer_bytes": memory.output_layer,
        "recomputed_bytes": memory.recomputed,
        "update_bytes": memory.update,
        "peak_bytes": memory.total,
        "device": found.device.name,
        "device_memory_bytes": found.device.memory_bytes,
        "peak_flops": found.device.peak(found.precision),
        "utilization": found.utilization,
        "seconds": found.seconds,
    }


def readable(name: str, found: Budget) -> str:
    """Return the budget as a page of text."""
    count, memory, config = found.parameters, found.memory, found.config
    shares = "  ".join(
        f"{part.replace('_', ' ')} {share:.1%}" for part, share in found.forward.shares().items() if share
    )
    gb = 1e9
    lines = [
        f"{name} on {found.num_devices} × {found.device.name} ({found.device.source})",
        "",
        f"parameters    {count.total:,} ({count.non_embedding:,} without embeddings and output layer)",
        f"context       {config.context_length:,} tokens, vocabulary {config.vocab_size:,}",
        f"forward       {found.forward.total:.4g} FLOPs per sequence: {shares}",
        f"training      {found.num_tokens:.4g} tokens, {found.flops:.4g} FLOPs (with full, non-causal attention: "
        f"{found.flops_square:.4g}; 6 N D: {found.flops_6nd:.4g})",
        f"memory        {memory.total / gb:.2f} GB of {found.device.memory_bytes / gb:.0f} at {found.microbatch_size} "
        f"sequences per microbatch{'' if found.fits else ': DOES NOT FIT'}",
        f"              weights {memory.weights / gb:.2f}, gradients {memory.gradients / gb:.2f}, optimizer "
        f"{memory.optimizer_state / gb:.2f}, activations {memory.activations / gb:.2f}, "
        f"output layer {memory.output_layer / gb:.2f}"
        + (f", recomputed layers {memory.recomputed / gb:.2f}" if memory.recomputed else "")
        + (f", optimizer update {memory.update / gb:.2f}" if memory.update else ""),
        f"fits          {found.largest_microbatch:,} sequences per microbatch, or one sequence of "
        f"{found.largest_context:,} tokens",
        f"KV cache      {kv_cache_bytes(config, config.context_length, 2) / 1e6:.1f} MB for a full context in 16 bits",
        f"time          {duration(found.seconds)} at {found.utilization:.0%} of "
        f"{found.device.peak(found.precision):.4g} FLOP/s in {found.precision}: {found.device_hours:,.1f} device hours",
    ]
    if found.dollars_an_hour:
        lines.append(
            f"cost          ${found.device_hours * found.dollars_an_hour:,.0f} at ${found.dollars_an_hour:g} per "
            "device hour"
        )
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return seconds in the unit that a person would use."""
    for unit, size in (("days", _DAY_S), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:,.1f} seconds"
