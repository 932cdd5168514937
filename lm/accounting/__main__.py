"""Print the costs of presets, the budget of a training run, or pages about devices, formats and tensors.

python -m lm.accounting                                                 one row per preset
python -m lm.accounting --preset gpt2_1558m --gpus 8 --device h100 --tokens 3e10
python -m lm.accounting ranks --preset llama_3b --device h100           estimated steps over 8 to 1,024 devices
python -m lm.accounting devices | formats | tensors
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from lm.accounting.activations import Precision
from lm.accounting.budget import DEFAULT_MFU, budget, readable
from lm.accounting.devices import DEVICES, FORMATS, Device, device_named
from lm.accounting.flops import training_flops_per_token
from lm.accounting.memory import largest_microbatch, training_memory
from lm.accounting.parameters import count_parameters
from lm.accounting.ranks import table
from lm.accounting.throughput import measured_cpu, training_seconds
from lm.errors import ConfigurationError, run_command
from lm.model.presets import PRESETS, preset

_PAGES = ("devices", "formats", "ranks", "tensors")


def main(argv: list[str] | None = None) -> int:
    """Print a table, a page or a budget."""
    arguments = _parser().parse_args(argv)
    page = arguments.names[0] if arguments.names[:1] and arguments.names[0] in _PAGES else ""
    for name, value in (("gpus", arguments.gpus), ("tokens", arguments.tokens), ("microbatch", arguments.microbatch)):
        if value is not None and value <= 0:
            raise ConfigurationError(f"--{name}: {value:g}, expected more than 0")
    if not 0 < arguments.mfu <= 1:
        raise ConfigurationError(f"--mfu: {arguments.mfu:g}, expected above 0 and at most 1")
    if page == "ranks":
        config = preset(arguments.preset or "llama_1b")
        print(_aligned(table(config, _device(arguments.device), arguments.microbatch or 1, arguments.mfu)))
    elif page:
        _print_page(page)
    elif arguments.preset:
        _print_budget(arguments)
    else:
        _print_presets(arguments.names or list(PRESETS), _device(arguments.device), arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lm.accounting", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"presets for the table (default: all), or one of {', '.join(_PAGES)}")
    parser.add_argument("--preset", help="preset for the budget of one training run")
    parser.add_argument("--device", default="h200", help=f"{', '.join(DEVICES)}, or cpu: this machine, measured")
    parser.add_argument("--gpus", type=int, default=1, help="devices, each with the whole model (default: 1)")
    parser.add_argument("--tokens", type=float, help="training tokens (default: 20 per parameter)")
    parser.add_argument(
        "--mfu",
        type=float,
        default=DEFAULT_MFU,
        help="model FLOPs utilization, as a share of the peak rate (default: .4)",
    )
    parser.add_argument(
        "--microbatch", type=int, help="sequences per microbatch on each device (default: as many as fit; ranks: 1)"
    )
    parser.add_argument(
        "--optimizer", choices=("adamw", "muon", "sgd"), default="adamw", help="optimizer (default: adamw)"
    )
    parser.add_argument(
        "--recompute", choices=("none", "blocks", "selective"), default="none", help="activation checkpointing"
    )
    parser.add_argument("--dollars", type=float, default=0.0, help="price per device hour")
    return parser


def _device(key: str) -> Device:
    return measured_cpu() if key == "cpu" else device_named(key)


def _precision(device: Device) -> Precision:
    return "bfloat16" if "bfloat16" in device.peak_flops else "float32"


def _print_budget(arguments: argparse.Namespace) -> None:
    device, config = _device(arguments.device), preset(arguments.preset)
    found = budget(
        config,
        device,
        num_tokens=arguments.tokens or 20.0 * count_parameters(config).total,
        num_devices=arguments.gpus,
        precision=_precision(device),
        utilization=arguments.mfu,
        microbatch_size=arguments.microbatch or 0,
        optimizer=arguments.optimizer,
        recompute=arguments.recompute,
        dollars_an_hour=arguments.dollars,
    )
    print(readable(arguments.preset, found))


def _print_presets(names: Sequence[str], device: Device, arguments: argparse.Namespace) -> None:
    precision = _precision(device)
    rows = []
    for name in names:
        config = preset(name)
        rows.append(
            {
                "preset": name,
                "weights": f"{count_parameters(config).total:,}",
                "FLOPs/token": f"{training_flops_per_token(config):.3g}",
                "GB, 1 sequence": f"{training_memory(config, 1, precision=precision).total / 1e9:.3g}",
                "sequences that fit": f"{largest_microbatch(config, device.memory_bytes, precision=precision):,}",
                "hours/1B tokens": f"{training_seconds(config, 1e9, device.peak(precision), arguments.mfu) / 3600:.3g}",
            }
        )
    print(_aligned(rows))


def _print_page(page: str) -> None:
    if page == "tensors":
        from lm.accounting.tensors import page as tensors_page

        print(tensors_page())
    elif page == "formats":
        from lm.accounting import number_formats

        print(_aligned(number_formats.table()))
    else:
        print(_aligned([_device_row(key, device) for key, device in DEVICES.items()]))


def _device_row(key: str, device: Device) -> dict[str, str]:
    rates = {f"{name} TFLOP/s": f"{device.peak_flops.get(name, 0) / 1e12:g}" for name in FORMATS}
    return {
        "device": key,
        **rates,
        "memory GB": f"{device.memory_bytes / 1e9:g}",
        "TB/s": f"{device.memory_bytes_per_s / 1e12:g}",
        "link GB/s": f"{device.link_bytes_per_s / 1e9:g}",
        "source": device.source,
    }


def _aligned(rows: Sequence[Mapping[str, str]]) -> str:
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    lines = [dict(zip(rows[0], rows[0], strict=True)), *rows]
    return "\n".join("  ".join(f"{line[name]:>{width}}" for name, width in widths.items()) for line in lines)


if __name__ == "__main__":
    run_command(main)
