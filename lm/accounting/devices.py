"""Devices: dense peak rates by number format, memory, bandwidth and links, each row with its source.

Data sheets print tensor-core rates with structured sparsity; the rates here are half of those. `peak_flops["float32"]`
is the rate outside of the tensor cores. Bandwidths are in decimal units, as the makers give them. The row of the
machine at hand is made by `lm.accounting.throughput.measured_cpu`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lm.configuration import unknown_key
from lm.errors import ConfigurationError

Format = Literal["float32", "tf32", "bfloat16", "float16", "fp8"]
FORMATS: tuple[Format, ...] = ("float32", "tf32", "bfloat16", "float16", "fp8")
"""Formats of a matrix product's inputs, the widest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Device:
    """One device: FLOP/s by format of the inputs, bytes of memory, bytes per second to memory and to its peers."""

    name: str
    peak_flops: Mapping[str, float]
    memory_bytes: int
    memory_bytes_per_s: float
    link_bytes_per_s: float
    """To other devices of its node, both directions together (NVLink's advertised figure); 0 without a link."""
    source: str
    name_parts: tuple[str, ...] = ()
    """Words that all stand in the name that the driver gives to this device."""

    def peak(self, number_format: str) -> float:
        """Return the FLOP/s of dense matrix products with inputs of this format.

        Raises:
            ConfigurationError: the device has no rate for the format.
        """
        if number_format not in self.peak_flops:
            known = ", ".join(self.peak_flops)
            raise ConfigurationError(f"{self.name}: no peak rate for '{number_format}', expected one of {known}")
        return self.peak_flops[number_format]


def _rates(float32: float, tf32: float, half: float, fp8: float = 0.0) -> Mapping[str, float]:
    """Return TFLOP/s by format as FLOP/s; bfloat16 and float16 have one rate, and 0 leaves fp8 out."""
    rates = {"float32": float32, "tf32": tf32, "bfloat16": half, "float16": half, "fp8": fp8}
    return {name: rate * 1e12 for name, rate in rates.items() if rate}


_HOPPER_SXM = _rates(67, 494.5, 989.5, 1_979)
_HOPPER_NVL = _rates(60, 417.5, 835.5, 1_670.5)
_A100 = _rates(19.5, 156, 312)

DEVICES: Mapping[str, Device] = {
    "a100": Device(
        name="A100 SXM 80 GB",
        peak_flops=_A100,
        memory_bytes=80 * 10**9,
        memory_bytes_per_s=2.039e12,
        link_bytes_per_s=600e9,
        source="NVIDIA A100 Tensor Core GPU data sheet, June 2021",
        name_parts=("A100", "SXM"),
    ),
    "a100_pcie": Device(
        name="A100 PCIe 80 GB",
        peak_flops=_A100,
        memory_bytes=80 * 10**9,
        memory_bytes_per_s=1.935e12,
        link_bytes_per_s=600e9,
        source="NVIDIA A100 Tensor Core GPU data sheet, June 2021; the link is a bridge of two",
        name_parts=("A100",),
    ),
    "h100_pcie": Device(
        name="H100 PCIe",
        peak_flops=_rates(51, 378, 756.5, 1_513),
        memory_bytes=80 * 10**9,
        memory_bytes_per_s=2.0e12,
        link_bytes_per_s=600e9,
        source="NVIDIA H100 Tensor Core GPU data sheet, March 2023; the link is a bridge of two",
        name_parts=("H100", "PCIe"),
    ),
    "h100_nvl": Device(
        name="H100 NVL",
        peak_flops=_HOPPER_NVL,
        memory_bytes=94 * 10**9,
        memory_bytes_per_s=3.9e12,
        link_bytes_per_s=600e9,
        source="NVIDIA H100 Tensor Core GPU data sheet, 2024",
        name_parts=("H100", "NVL"),
    ),
    "h100": Device(
        name="H100 SXM",
        peak_flops=_HOPPER_SXM,
        memory_bytes=80 * 10**9,
        memory_bytes_per_s=3.35e12,
        link_bytes_per_s=900e9,
        source="NVIDIA H100 Tensor Core GPU data sheet, March 2023",
        name_parts=("H100",),
    ),
    "h200_nvl": Device(
        name="H200 NVL",
        peak_flops=_HOPPER_NVL,
        memory_bytes=141 * 10**9,
        memory_bytes_per_s=4.8e12,
        link_bytes_per_s=900e9,
        source="NVIDIA H200 Tensor Core GPU data sheet, 2024",
        name_parts=("H200", "NVL"),
    ),
    "h200": Device(
        name="H200 SXM",
        peak_flops=_HOPPER_SXM,
        memory_bytes=141 * 10**9,
        memory_bytes_per_s=4.8e12,
        link_bytes_per_s=900e9,
        source="NVIDIA H200 Tensor Core GPU data sheet, 2024",
        name_parts=("H200",),
    ),
    "b200": Device(
        name="B200 (HGX)",
        peak_flops=_rates(75, 1_100, 2_250, 4_500),
        memory_bytes=180 * 10**9,
        memory_bytes_per_s=7.7e12,
        link_bytes_per_s=1.8e12,
        source="NVIDIA Blackwell data sheet, HGX B200 at 1,000 W, 2025",
        name_parts=(" B200",),
    ),
}
"""By the key that commands take. Of two rows that fit a driver's name the first counts: a form factor goes first."""


def device_named(key: str) -> Device:
    """Return the device of the table with this key.

    Raises:
        ConfigurationError: no such device; names the nearest one.
    """
    if key not in DEVICES:
        raise ConfigurationError(unknown_key(key, DEVICES, "device"))
    return DEVICES[key]


def device_of(driver_name: str) -> Device | None:
    """Return the device whose `name_parts` all stand in the driver's name, such as `NVIDIA H100 80GB HBM3`; None for
    another one.
    """
    known = (device for device in DEVICES.values() if all(part in driver_name for part in device.name_parts))
    return next(known, None)
