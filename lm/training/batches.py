"""Batches: the windows that a step reads, as tensors.

The order is `lm.training.reading_order`'s. A batch of several processes is one batch cut into equal parts, so the
state of a loader is the same in all of them and fits any number of processes that divides the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lm.errors import ConfigurationError, InputError
from lm.training.reading_order import Place, ReadingOrder, Source
from lm.training.windows import Window


@dataclass(frozen=True, slots=True)
class Batch:
    """This process's part of a step's windows, on the CPU."""

    ids: Int[Tensor, "batch seq_and_one"]
    """Inputs and, one further, targets."""
    counted: Bool[Tensor, "batch seq"] | None
    """The targets that count in the loss; None: all."""
    document_ids: Int[Tensor, "batch seq"] | None
    """The document of each target, numbered within its window; None where windows are not split by documents."""
    places: tuple[Place, ...]
    num_targets: int
    """Targets that count, of all processes' parts together."""


class Loader(Protocol):
    """The interface between a training loop and its batches."""

    def next_batch(self) -> Batch:
        """Return the next batch."""
        ...

    def doc_ids(self, places: Iterable[Place]) -> list[str]:
        """Return the documents behind some windows."""
        ...

    def state(self) -> dict[str, Any]:
        """Return the position of the next batch."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state()`."""
        ...

    def close(self) -> None:
        """Stop reading ahead."""
        ...


class BatchLoader:
    """Deals out the batches of process `rank` among `world_size`.

    With `document_masks` every batch has the document of each position. The end-of-text id before a
    document is the first input of that document: what is attended to is exactly the document.

    Raises:
        ConfigurationError: a batch that the processes cannot share equally.
    """

    def __init__(
        self,
        order: ReadingOrder,
        *,
        batch_size: int,
        document_masks: bool = False,
        rank: int = 0,
        world_size: int = 1,
        pin_memory: bool = False,
    ) -> None:
        if batch_size < 1:
            raise ConfigurationError(f"batch_size: {batch_size}, expected at least 1")
        if not 0 <= rank < world_size or batch_size % world_size:
            raise ConfigurationError(f"batch_size: {batch_size}, expected a multiple of the {world_size} processes")
        self.order, self.batch_size, self.document_masks = order, batch_size, document_masks
        self.rank, self.world_size, self.pin_memory = rank, world_size, pin_memory

    def next_batch(self) -> Batch:
        """Return this process's part of the next `batch_size` windows; a batch may end one epoch and begin the next."""
        places = [self.order.next() for _ in range(self.batch_size)]
        windows = [self.order.window(place) for place in places]
        share = self.batch_size // self.world_size
        own = slice(self.rank * share, (self.rank + 1) * share)
        rows = [self._read(place, window) for place, window in zip(places[own], windows[own], strict=True)]
        counted = np.stack([row.counted for row in rows])
        documents = [row.document_ids for row in rows if row.document_ids is not None]
        return Batch(
            ids=self._tensor(np.stack([row.ids for row in rows])),
            counted=None if counted.all() else self._tensor(counted),
            document_ids=self._tensor(np.stack(documents)) if documents else None,
            places=tuple(places[own]),
            num_targets=sum(window.num_targets for window in windows),
        )

    def doc_ids(self, places: Iterable[Place]) -> list[str]:
        """Return the documents behind the windows at `places`, their first inputs included, each once, in order."""
        found: dict[str, None] = {}
        for place in places:
            stream, window = self.order.sources[place.source].stream, self.order.window(place)
            for index, (start, end) in enumerate(window.pieces.tolist()):
                first = start if index or stream.begins_document(start) else start - 1
                found.update(dict.fromkeys(stream.doc_ids(first, end)))
        return list(found)

    def state(self) -> dict[str, Any]:
        """Return the position of the next batch."""
        return self.order.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state()`."""
        self.order.restore(state)

    def close(self) -> None:
        """Do nothing: no text is read ahead here."""

    def _read(self, place: Place, window: Window) -> _Row:
        return _read_row(self.order.sources[place.source], window, self.document_masks)

    def _tensor(self, array: npt.NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor.pin_memory() if self.pin_memory else tensor


class PrefetchedLoader:
    """Reads the batches of a loader ahead on a thread; its state is that of the batches handed out, not of those read
    ahead.
    """

    def __init__(self, loader: BatchLoader, depth: int) -> None:
        self._loader, self._depth = loader, depth
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batches")
        self._waiting: list[Future[tuple[Batch, dict[str, Any]]]] = []
        self._state = loader.state()

    def next_batch(self) -> Batch:
        """Return the next batch; an error of the reading thread is raised here."""
        while len(self._waiting) <= self._depth:
            self._waiting.append(self._thread.submit(self._read))
        batch, self._state = self._waiting.pop(0).result()
        return batch

    def doc_ids(self, places: Iterable[Place]) -> list[str]:
        """Return the documents behind some windows."""
        return self._loader.doc_ids(places)

    def state(self) -> dict[str, Any]:
        """Return the position of the batch after the last one handed out."""
        return self._state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state()`; what was read ahead is dropped."""
        self._drop()
        self._loader.restore(state)
        self._state = self._loader.state()

    def close(self) -> None:
        """End the thread."""
        self._drop()
        self._thread.shutdown()

    def _read(self) -> tuple[Batch, dict[str, Any]]:
        return self._loader.next_batch(), self._loader.state()

    def _drop(self) -> None:
        for future in self._waiting:
            if not future.cancel():
                future.exception()  # waits: the loader must not move any more
        self._waiting.clear()


@dataclass(frozen=True, slots=True)
class _Row:
    ids: npt.NDArray[np.int64]
    counted: npt.NDArray[np.bool_]
    document_ids: npt.NDArray[np.int64] | None


def _read_row(source: Source, window: Window, with_documents: bool) -> _Row:
    stream, length = source.stream, source.windows.context_length
    end_of_text = stream.shards.end_of_text_id
    ids = np.full(length + 1, end_of_text, np.int64)
    counted = np.zeros(length, np.bool_)
    documents = np.full(length, -1, np.int64) if with_documents else None
    at = 0
    for (start, end), left_out in zip(window.pieces.tolist(), window.first_left_out.tolist(), strict=True):
        size = end - start
        if at == 0 and start > 0:
            ids[: size + 1] = stream.read(start - 1, size + 1)
        else:
            ids[at + 1 : at + 1 + size] = stream.read(start, size)
        counted[at + left_out : at + size] = True
        if documents is not None:
            documents[at : at + size] = np.searchsorted(stream.document_begins, np.arange(start, end), side="right")
        at += size
    if documents is not None:
        documents = np.unique(documents, return_inverse=True)[1].astype(np.int64)
    return _Row(ids, counted, documents)


def get_batch(
    ids: npt.NDArray[Any], batch_size: int, context_length: int, device: torch.device | str = "cpu"
) -> tuple[Int[Tensor, "batch seq"], Int[Tensor, "batch seq"]]:
    """Return inputs and targets at `batch_size` random places (torch's generator) of a flat array of ids, which may be
    memory-mapped.

    Raises:
        InputError: fewer than `context_length + 1` ids.
    """
    if len(ids) < context_length + 1:
        raise InputError(f"{len(ids):,} ids, expected at least context_length + 1 = {context_length + 1:,}")
    starts = torch.randint(len(ids) - context_length, (batch_size,)).tolist()
    windows = torch.from_numpy(np.stack([ids[start : start + context_length + 1] for start in starts]).astype(np.int64))
    if torch.device(device).type == "cuda":
        windows = windows.pin_memory()
    moved = windows.to(device, non_blocking=True)
    return moved[:, :-1], moved[:, 1:]
