"""The live view of a run: a bar on a terminal, the caller's `report`, live.jsonl and TensorBoard, in the work folder.

Beside the log's numbers it has those that depend on the clock: `seconds` of work since the run's first step,
`tokens_per_s` (targets that count), `seconds_left`, `peak_memory_bytes`, and the model's FLOPs as a share of what the
machine can do: of the rate at which it was just measured to multiply matrices of the run's type (`mfu_measured`) and,
in 16 bits on a GPU that is known, of the maker's data sheet (`mfu_data_sheet`). Both count attended keys; with
`_square` they count the whole square of attention, as published figures do (`lm.accounting.flops`).

A run that goes on from a checkpoint keeps the lines up to its step, and one that starts afresh keeps none.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

import torch

from lm.accounting.throughput import measured_matmul_flops, model_flops_utilization, peak_flops
from lm.errors import no_space
from lm.model.config import ModelConfig
from lm.progress import bar
from lm.training.metrics import LIVE, Report, read_rows
from lm.training.tensorboard import TensorBoard
from lm.training.trainer import StepResult

_MEASURING_S = 0.1


class LiveView:
    """Shows one run; use as a context manager."""

    def __init__(
        self,
        work: Path,
        report: Report,
        *,
        first_step: int,
        num_steps: int,
        device: torch.device,
        dtype: torch.dtype,
        model: ModelConfig,
        num_ranks: int = 1,
    ) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self._report, self._num_steps, self._device, self._model = report, num_steps, device, model
        kept = read_rows(work / LIVE, last_step=first_step)
        self._seconds_before = max((row.get("seconds", 0.0) for row in kept), default=0.0)
        self._path = work / LIVE
        self._lines = _rewritten(self._path, kept)
        self._board = TensorBoard(work / "tensorboard", first_step)
        self._bar = bar("pretrain", total=num_steps, unit="step", initial=first_step)
        self._measured_flops = num_ranks * _matmul_flops(device, torch.get_num_threads(), dtype)
        sheet = None if dtype == torch.float32 else peak_flops(device)
        self._data_sheet_flops = None if sheet is None else num_ranks * sheet
        self._started = self._marked = time.perf_counter()
        self._first_step, self._marked_tokens, self._aside = first_step, -1, 0.0

    def __enter__(self) -> LiveView:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.ExitStack() as closing:  # all of them, whichever fails
            closing.callback(self._bar.close)
            closing.callback(self._board.close)
            closing.callback(self._close_lines)

    def step(self, result: StepResult, logged: bool) -> None:
        """Move the bar; where `logged`, write and report the numbers."""
        self._bar.update(1)
        if logged:
            self._bar.set_postfix(loss=f"{result.loss:.3f}", refresh=False)
            self.event({**result.row(), **self._clock(result)})

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Work that is not a step's: an evaluation, a sample, a checkpoint. The speed does not count its time."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._aside += time.perf_counter() - started

    def event(self, values: Mapping[str, object]) -> None:
        """Record the numbers of a step, or a sentence under the key `message`; with the `seconds`.

        Raises:
            NoSpaceError: the disk is full.
        """
        seconds = self._seconds_before + time.perf_counter() - self._started
        values = {**values, "seconds": round(seconds, 3)}
        self._write(values)
        self._board.add(values)
        self._report(values)

    def _close_lines(self) -> None:
        with contextlib.suppress(OSError):  # each line was flushed; what is left has failed before
            self._lines.close()

    def _write(self, values: Mapping[str, object]) -> None:
        line = _line(values)
        with _naming(self._path, line):
            self._lines.write(line)
            self._lines.flush()

    def _clock(self, result: StepResult) -> dict[str, float]:
        now = time.perf_counter()
        done = result.step - self._first_step
        values: dict[str, float] = {
            "seconds_left": (now - self._started) / done * (self._num_steps - result.step),
            "peak_memory_bytes": self._peak_memory_bytes(),
        }
        if self._marked_tokens >= 0:
            rate = (result.tokens - self._marked_tokens) / (now - self._marked - self._aside)
            values["tokens_per_s"] = rate
            rates = {"mfu_measured": self._measured_flops, "mfu_data_sheet": self._data_sheet_flops}
            for name, machine in rates.items():
                if machine is not None:
                    values[name] = model_flops_utilization(self._model, rate, machine)
                    values[f"{name}_square"] = model_flops_utilization(self._model, rate, machine, "square")
        self._marked, self._marked_tokens, self._aside = now, result.tokens, 0.0
        return values

    def _peak_memory_bytes(self) -> int:
        """Return the peak memory, of torch on a GPU, of the whole process on a CPU."""
        if self._device.type == "cuda":
            return int(torch.cuda.max_memory_allocated(self._device))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class SilentView:
    """The view of a rank other than 0, which shows nothing."""

    def __enter__(self) -> SilentView:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def step(self, result: StepResult, logged: bool) -> None:
        """Show nothing."""

    def aside(self) -> contextlib.AbstractContextManager[None]:
        """Count no time."""
        return contextlib.nullcontext()

    def event(self, values: Mapping[str, object]) -> None:
        """Report nothing."""


def _line(values: Mapping[str, object]) -> str:
    return json.dumps(values, sort_keys=True) + "\n"


def _rewritten(path: Path, rows: Sequence[Mapping[str, object]]) -> IO[str]:
    """Return the file with these lines alone, open for more."""
    twin, text = path.with_name(f"{path.name}.new"), "".join(map(_line, rows))
    with _naming(path, text):
        twin.write_text(text)
        twin.replace(path)
        return path.open("a")


@contextlib.contextmanager
def _naming(path: Path, text: str) -> Iterator[None]:
    """Name the file where there is no space for the text."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise no_space(path, len(text.encode())) from None
        raise


@functools.cache
def _matmul_flops(device: torch.device, num_threads: int, dtype: torch.dtype) -> float:
    """Return the machine's rate; the generators stay as they are, since a checkpoint holds them."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        return measured_matmul_flops(device, seconds=_MEASURING_S, dtype=dtype)
