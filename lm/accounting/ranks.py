"""A table of training steps over 8 to 1,024 devices by the cost model: on paper, not measured.

Eight devices of a node talk over its links; more over the network, at the slowest link of the ring. Tensor parallelism
stays within a node. Weights and gradients travel in 16 bits.
"""

from __future__ import annotations

from lm.accounting.devices import Device
from lm.accounting.parallelism import STRATEGIES, compute_bound_tokens, largest_batch, state_bytes, step_time
from lm.accounting.parameters import count_parameters
from lm.model.config import ModelConfig

NODE = 8
NETWORK_BYTES_PER_S = 50e9
"""Of a device in one direction: a network card of 400 Gb/s for each, as in NVIDIA's DGX H100 (its data sheet)."""
_NUM_RANKS = (8, 64, 1_024)


def table(config: ModelConfig, device: Device, windows: int, utilization: float) -> list[dict[str, str]]:
    """Return a row for each number of ranks and each strategy, `windows` of a whole context a rank and step."""
    flops = device.peak("bfloat16") * utilization
    rows = []
    for ranks in _NUM_RANKS:
        bandwidth = device.link_bytes_per_s / 2 if ranks <= NODE else NETWORK_BYTES_PER_S
        bound = compute_bound_tokens(ranks, flops, bandwidth)
        for strategy in STRATEGIES:
            if strategy == "tensor" and ranks > NODE:
                continue
            found = step_time(
                config,
                strategy,
                tokens_per_rank=windows * config.context_length,
                num_ranks=ranks,
                flops_per_s=flops,
                bytes_per_s=bandwidth,
                bytes_per_number=2,
            )
            fits = largest_batch(config, device.memory_bytes, strategy, ranks)
            rows.append(
                {
                    "ranks": f"{ranks:,}",
                    "strategy": strategy,
                    "state GB": f"{state_bytes(count_parameters(config).total, strategy, ranks) / 1e9:.3g}",
                    "sequences that fit": f"{fits:,}",
                    "compute ms": f"{1e3 * found.compute_s:.3g}",
                    "communication ms": f"{1e3 * found.communication_s:.3g}",
                    "step ms": f"{1e3 * found.total_s:.3g}",
                    "compute-bound tokens": f"{bound:,.0f}" if strategy == "fsdp" else "",
                }
            )
    return rows
