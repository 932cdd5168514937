"""`python -m lm.accounting [PRESET …]`: weights, operations and memory of presets, and how long they take on a
machine.
"""

from __future__ import annotations

import argparse

from lm.accounting.flops import training_flops_per_token
from lm.accounting.memory import Precision, largest_microbatch, training_memory
from lm.accounting.parameters import count_parameters
from lm.accounting.throughput import training_seconds
from lm.errors import run_command
from lm.model.presets import PRESETS, preset

_HEADINGS = ("preset", "weights", "FLOPs/token", "GB, 1 window", "windows that fit", "hours/1B tokens")


def main(argv: list[str] | None = None) -> int:
    """Print one row a preset."""
    parser = argparse.ArgumentParser(prog="python -m lm.accounting", description="What a model costs.")
    parser.add_argument("presets", nargs="*", help="presets (default: all)")
    parser.add_argument("--memory-gb", type=float, default=141.0, help="memory of the device (default: an H200's)")
    parser.add_argument("--tflops", type=float, default=989.0, help="its rate in TFLOP/s (default: an H200's)")
    parser.add_argument("--utilization", type=float, default=0.4, help="the share that a run reaches")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="bfloat16")
    arguments = parser.parse_args(argv)
    print("  ".join(f"{heading:>18}" for heading in _HEADINGS))
    for name in arguments.presets or PRESETS:
        row = _row(name, arguments.precision, arguments.memory_gb * 1e9, arguments.tflops * 1e12, arguments.utilization)
        print("  ".join(f"{cell:>18}" for cell in row))
    return 0


def _row(name: str, precision: Precision, memory_bytes: float, flops: float, utilization: float) -> tuple[str, ...]:
    config = preset(name)
    return (
        name,
        f"{count_parameters(config).total:,}",
        f"{training_flops_per_token(config):.3g}",
        f"{training_memory(config, 1, precision=precision).total / 1e9:.3g}",
        f"{largest_microbatch(config, int(memory_bytes), precision=precision):,}",
        f"{training_seconds(config, 1e9, flops, utilization) / 3600:.3g}",
    )


if __name__ == "__main__":
    run_command(main)
