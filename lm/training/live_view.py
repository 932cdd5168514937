"""The live view of a run: a bar on a terminal, the caller's `report`, live.jsonl and TensorBoard, in the work folder.

Beside the log's numbers it has those that depend on the clock: `tokens_per_s`, `seconds_left`, `peak_memory_bytes`,
and the model's FLOPs as a share of what the machine can do: of the rate at which it was just measured to multiply
matrices (`mfu_measured`) and, on a GPU that is known, of the maker's data sheet (`mfu_data_sheet`).
"""

from __future__ import annotations

import functools
import json
import resource
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from lm.accounting.throughput import measured_matmul_flops, model_flops_utilization, peak_flops
from lm.model.config import ModelConfig
from lm.progress import bar
from lm.training.metrics import LIVE, Report
from lm.training.tensorboard import TensorBoard
from lm.training.trainer import StepResult

_MEASURING_S = 0.1


class LiveView:
    """Tells of one run; use as a context manager."""

    def __init__(
        self, work: Path, report: Report, *, first_step: int, num_steps: int, device: torch.device, model: ModelConfig
    ) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._report, self._num_steps, self._device, self._model = report, num_steps, device, model
        self._lines = (work / LIVE).open("a")
        self._board = TensorBoard(work / "tensorboard", first_step)
        self._bar = bar("pretrain", total=num_steps, unit="step", initial=first_step)
        self._measured_flops = _matmul_flops(device, torch.get_num_threads())
        self._data_sheet_flops = peak_flops(device)
        self._started = self._marked = time.perf_counter()
        self._first_step, self._marked_tokens = first_step, -1

    def __enter__(self) -> LiveView:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        self._lines.close()
        self._board.close()

    def step(self, result: StepResult, logged: bool) -> None:
        """Move the bar; where `logged`, tell everybody."""
        self._bar.update(1)
        if logged:
            self._bar.set_postfix(loss=f"{result.loss:.3f}", refresh=False)
            self.event({**result.row(), **self._clock(result)})

    def event(self, values: Mapping[str, object]) -> None:
        """Numbers of a step, or a sentence under the key `message`."""
        self._lines.write(json.dumps(values, sort_keys=True) + "\n")
        self._lines.flush()
        self._board.add(values)
        self._report(values)

    def _clock(self, result: StepResult) -> dict[str, float]:
        now = time.perf_counter()
        done = result.step - self._first_step
        values: dict[str, float] = {
            "seconds_left": (now - self._started) / done * (self._num_steps - result.step),
            "peak_memory_bytes": self._peak_memory_bytes(),
        }
        if self._marked_tokens >= 0:
            rate = (result.tokens - self._marked_tokens) / (now - self._marked)
            values["tokens_per_s"] = rate
            values["mfu_measured"] = model_flops_utilization(self._model, rate, self._measured_flops)
            if self._data_sheet_flops is not None:
                values["mfu_data_sheet"] = model_flops_utilization(self._model, rate, self._data_sheet_flops)
        self._marked, self._marked_tokens = now, result.tokens
        return values

    def _peak_memory_bytes(self) -> int:
        """Of torch on a GPU, of the whole process on a CPU."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@functools.cache
def _matmul_flops(device: torch.device, num_threads: int) -> float:
    """The machine's rate; the generators stay as they are, since a checkpoint holds them."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        return measured_matmul_flops(device, seconds=_MEASURING_S)
