"""Which tokens each step sees: an order that is a pure function of seed and position, so that resuming is exact.

The rows of a split, one after the other, are one stream. An epoch cuts it at a random phase into windows of
`context_length` tokens (plus the one after, the last target) and visits them in a random order. Phase and order come
from (seed, epoch) alone, so the whole state of a loader is two numbers, and the same for any number of processes that
share a batch. Every token is a target once an epoch, but for less than a window at either end.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int
from torch import Tensor

from lm.errors import ConfigurationError, InputError
from lm.token_stream import TokenStream


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of the stream: `ids` `[batch seq+1]` on the CPU, and where in the stream each starts."""

    ids: Int[Tensor, "batch seq_and_one"]
    starts: npt.NDArray[np.int64]

    @property
    def num_tokens(self) -> int:
        """Targets of the batch."""
        return self.ids.shape[0] * (self.ids.shape[1] - 1)


class WindowOrder:
    """Where the windows of each epoch start."""

    def __init__(self, num_tokens: int, context_length: int, seed: int) -> None:
        if num_tokens < context_length + 1:
            raise InputError(
                f"{num_tokens:,} training tokens, expected at least context_length + 1 = {context_length + 1:,}"
            )
        self.num_tokens, self.context_length, self.seed = num_tokens, context_length, seed
        self._starts = lru_cache(maxsize=2)(self._make_starts)

    def starts(self, epoch: int) -> npt.NDArray[np.int64]:
        """The first tokens of the windows of `epoch`, in the order of their visit."""
        return self._starts(epoch)

    def _make_starts(self, epoch: int) -> npt.NDArray[np.int64]:
        random = np.random.default_rng([self.seed, epoch])
        room = self.num_tokens - 1 - self.context_length
        phase = int(random.integers(0, min(self.context_length, room + 1)))
        num_windows = (self.num_tokens - 1 - phase) // self.context_length
        return phase + random.permutation(num_windows).astype(np.int64) * self.context_length


class BatchLoader:
    """Deals out the batches; `state()` and `restore()` are all that resuming needs."""

    def __init__(self, stream: TokenStream, *, batch_size: int, context_length: int, seed: int) -> None:
        if batch_size < 1:
            raise ConfigurationError(f"batch_size: {batch_size}, expected at least 1")
        self.stream, self.batch_size = stream, batch_size
        self.order = WindowOrder(len(stream), context_length, seed)
        self.epoch, self.position = 0, 0

    def next_batch(self) -> Batch:
        """The next `batch_size` windows; a batch may end one epoch and begin the next."""
        starts = np.array([self._next_start() for _ in range(self.batch_size)], dtype=np.int64)
        width = self.order.context_length + 1
        ids = np.stack([self.stream.read(int(start), width) for start in starts])
        return Batch(torch.from_numpy(ids), starts)

    def doc_ids(self, starts: npt.NDArray[np.int64]) -> list[str]:
        """The documents behind the windows at `starts`, each once, in order of appearance."""
        width = self.order.context_length + 1
        return list(
            dict.fromkeys(doc for start in starts for doc in self.stream.doc_ids(int(start), int(start) + width))
        )

    def state(self) -> dict[str, int]:
        """Where the next batch begins."""
        return {"epoch": self.epoch, "position": self.position}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state()`."""
        self.epoch, self.position = int(state["epoch"]), int(state["position"])

    def _next_start(self) -> int:
        starts = self.order.starts(self.epoch)
        if self.position == len(starts):
            self.epoch, self.position = self.epoch + 1, 0
            starts = self.order.starts(self.epoch)
        self.position += 1
        return int(starts[self.position - 1])


def steps_that_read(order: WindowOrder, batch_size: int, num_steps: int, start: int, end: int) -> Iterator[int]:
    """The training steps (from 1) whose batch holds a target among the tokens `start` to `end` (exclusive) of the
    stream.
    """
    dealt, epoch = 0, 0
    while dealt < num_steps * batch_size:
        starts = order.starts(epoch)
        # A window's targets are the tokens start + 1 … start + context_length.
        hits = np.flatnonzero((starts + order.context_length >= start) & (starts + 1 < end))
        steps = np.unique((dealt + hits) // batch_size + 1)
        yield from (int(step) for step in steps if step <= num_steps)
        dealt, epoch = dealt + len(starts), epoch + 1


def get_batch(
    ids: npt.NDArray[Any], batch_size: int, context_length: int, device: torch.device | str = "cpu"
) -> tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]:
    """Inputs and targets at `batch_size` random places (torch's generator) of a flat array of ids, which may be
    memory-mapped.
    """
    if len(ids) < context_length + 1:
        raise InputError(f"{len(ids):,} ids, expected at least context_length + 1 = {context_length + 1:,}")
    starts = torch.randint(len(ids) - context_length, (batch_size,)).tolist()
    windows = np.stack([ids[start : start + context_length + 1] for start in starts]).astype(np.int64)
    moved = torch.from_numpy(windows).to(device)
    return moved[:, :-1], moved[:, 1:]
