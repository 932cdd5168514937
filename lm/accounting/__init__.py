"""Costs of a model before its training: weights, operations, memory, time."""

from typing import TYPE_CHECKING

from lm.lazy import load_on_first_use

if TYPE_CHECKING:
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
    from lm.accounting.memory import TrainingMemory, kv_cache_bytes, largest_microbatch, training_memory
    from lm.accounting.parameters import ParameterCount, count_parameters
    from lm.accounting.throughput import measured_matmul_flops, model_flops_utilization, peak_flops, training_seconds

__getattr__ = load_on_first_use(__name__)
