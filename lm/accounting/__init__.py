"""Costs of a model before its training: weights, operations, memory, time."""

from lm.accounting.activations import activation_bytes_per_token
from lm.accounting.flops import forward_flops_per_token, training_flops_per_token
from lm.accounting.memory import (
    TrainingMemory,
    kv_cache_bytes,
    largest_microbatch,
    training_memory,
)
from lm.accounting.parameters import ParameterCount, count_parameters
from lm.accounting.throughput import measured_matmul_flops, model_flops_utilization, peak_flops, training_seconds

__all__ = [
    "ParameterCount",
    "TrainingMemory",
    "activation_bytes_per_token",
    "count_parameters",
    "forward_flops_per_token",
    "kv_cache_bytes",
    "largest_microbatch",
    "measured_matmul_flops",
    "model_flops_utilization",
    "peak_flops",
    "training_flops_per_token",
    "training_memory",
    "training_seconds",
]
