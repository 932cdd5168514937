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

    device: Annotated[str, Doc("Where rates, kernels and attention are measured: auto, cpu or cuda.")] = "auto"
    num_rows: Annotated[int, Doc("Vectors that a kernel takes."), Range(1, 2**20)] = 4_096
    width: Annotated[int, Doc("Numbers of each vector."), Range(16, 16_384)] = 1_024
    contexts: Annotated[
        tuple[int, ...], Doc("Contexts of the attention, in tokens; each is two windows of 8 heads."), Range(1, 2**17)
    ] = (128, 256, 512, 1_024, 2_048)
    d_head: Annotated[int, Doc("Width of a head of attention."), Range(1, 256)] = 64
    num_ranks: Annotated[
        int, Doc("Processes that train together, one thread or one GPU each; 1 leaves this part out."), Range(1, 64)
    ] = 2
    preset: Annotated[str, Doc("Model of the ranks' steps.")] = "tiny_cpu"
    sizes_mb: Annotated[tuple[int, ...], Doc("Sizes of the ranks' all-reduces, in MB."), Range(1, 10_000)] = (1, 16, 64)
    seconds: Annotated[float, Doc("About how long each figure is measured."), Range(0.001, 60)] = 0.2

    def __post_init__(self) -> None:
        settle(self, "systems_report")
        if self.preset not in PRESETS:
            raise ConfigurationError(f"systems_report.preset: {unknown_key(self.preset, PRESETS, 'preset')}")
        if not self.contexts or not self.sizes_mb:
            raise ConfigurationError("systems_report: contexts and sizes_mb, expected at least one of each")
