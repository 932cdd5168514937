import pytest

from lm.accounting.devices import DEVICES, FORMATS, device_named, device_of
from lm.errors import ConfigurationError


@pytest.mark.parametrize(
    ("driver_name", "key"),
    [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H100 PCIe", "h100_pcie"),
        ("NVIDIA H100 NVL", "h100_nvl"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA H200 NVL", "h200_nvl"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA A100 80GB PCIe", "a100_pcie"),
        ("NVIDIA B200", "b200"),
        ("NVIDIA GB200", None),
        ("NVIDIA GeForce RTX 4090", None),
    ],
)
def test_the_drivers_name_finds_the_form_factor(driver_name, key):
    assert device_of(driver_name) is (None if key is None else DEVICES[key])


@pytest.mark.parametrize("key", DEVICES)
def test_every_row_is_whole_and_narrower_formats_are_faster(key):
    device = DEVICES[key]
    rates = [device.peak_flops[name] for name in FORMATS if name in device.peak_flops]
    assert rates == sorted(rates) and rates[0] > 1e13
    assert device.peak_flops["bfloat16"] == device.peak_flops["float16"]
    assert device.memory_bytes >= 80e9 and device.memory_bytes_per_s > 1e12 and device.source


def test_what_is_not_in_the_table_is_refused_with_what_is():
    with pytest.raises(ConfigurationError, match="did you mean 'h100'"):
        device_named("h10")
    with pytest.raises(ConfigurationError, match="no peak rate for 'fp8', expected one of float32, tf32"):
        device_named("a100").peak("fp8")
