"""Configuration of the systems report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lm.configuration import Doc, Range, settle, unknown_key
from lm.errors import ConfigurationError
from lm.model.presets import PRESETS


@dataclass(frozen=True, kw_only=True)
class SystemsConfig:
    """Shapes, contexts and ranks of the systems report, and the seconds of each figure."""

    device: Annotated[str, Doc("Device of the rate, kernel and attention measurements: auto, cpu or cuda.")] = "auto"
    num_rows: Annotated[int, Doc("Number of input vectors of each kernel."), Range(1, 2**20)] = 4_096
    width: Annotated[int, Doc("Length of each input vector."), Range(16, 16_384)] = 1_024
    contexts: Annotated[
        tuple[int, ...],
        Doc("Context lengths of the attention measurements, in tokens; each uses two sequences and 8 heads."),
        Range(1, 2**17),
    ] = (128, 256, 512, 1_024, 2_048)
    d_head: Annotated[int, Doc("Dimensions per attention head."), Range(1, 256)] = 64
    num_ranks: Annotated[
        int,
        Doc("Processes of the distributed measurements, one thread or one GPU each; 1 leaves them out."),
        Range(1, 64),
    ] = 2
    preset: Annotated[str, Doc("Model preset of the distributed training steps.")] = "tiny_cpu"
    sizes_mb: Annotated[tuple[int, ...], Doc("Sizes of the measured all-reduces, in MB."), Range(1, 10_000)] = (
        1,
        16,
        64,
    )
    seconds: Annotated[float, Doc("Approximate duration of each measurement, in seconds."), Range(0.001, 60)] = 0.2

    def __post_init__(self) -> None:
        settle(self, "systems_report")
        if self.preset not in PRESETS:
            raise ConfigurationError(f"systems_report.preset: {unknown_key(self.preset, PRESETS, 'preset')}")
        if not self.contexts or not self.sizes_mb:
            raise ConfigurationError("systems_report: contexts and sizes_mb, expected at least one of each")
