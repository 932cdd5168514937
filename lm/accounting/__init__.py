"""Costs of a model before its training: weights, operations, memory, time."""

from lm.accounting.activations import activation_bytes_per_token
from lm.accounting.devices import DEVICES, Device, device_named
from lm.accounting.flops import (
    FlopCount,
    decode_flops,
    forward_flops,
    forward_flops_per_token,
    prefill_flops,
    training_flops,
    training_flops_per_token,
)
from lm.accounting.memory import (
    TrainingMemory,
    kv_cache_bytes,
    largest_microbatch,
    training_memory,
)
from lm.accounting.parameters import ParameterCount, count_parameters
from lm.accounting.throughput import measured_matmul_flops, model_flops_utilization, peak_flops, training_seconds

__all__ = [
    "DEVICES",
    "Device",
    "FlopCount",
    "ParameterCount",
    "TrainingMemory",
    "activation_bytes_per_token",
    "count_parameters",
    "decode_flops",
    "device_named",
    "forward_flops",
    "forward_flops_per_token",
    "kv_cache_bytes",
    "largest_microbatch",
    "measured_matmul_flops",
    "model_flops_utilization",
    "peak_flops",
    "prefill_flops",
    "training_flops",
    "training_flops_per_token",
    "training_memory",
    "training_seconds",
]
