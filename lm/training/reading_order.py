"""Which windows each step reads: several sources by weight, each at its own pace through its own epochs.

Window k (from 0) of a source of weight w is due at (k + ½) / w, and windows are dealt as they fall due, earlier names
first where two fall due together. So at every point of the run each source has had its share, to within a few windows
(the first windows of several small sources fall due late and together), and the whole order is a pure function of seed
and configuration. No torch here, as in `windows`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lm.configuration import unknown_key
from lm.errors import ConfigurationError, InputError
from lm.shards import TokenShards
from lm.token_stream import TokenStream, source_names
from lm.training.config import PretrainConfig
from lm.training.windows import Window, Windows, make_windows

ALL = "all"
"""The name of the one source where none are told apart."""


@dataclass(frozen=True, slots=True)
class Source:
    """A stream, its windows, and its share of all windows."""

    name: str
    stream: TokenStream
    windows: Windows
    weight: float


class Place(NamedTuple):
    """One window of a source: which epoch, and where in its order."""

    source: int
    epoch: int
    position: int


class ReadingOrder:
    """The windows of all sources in the order of their visit; `state()` and `restore()` are all that resuming needs."""

    def __init__(self, sources: list[Source]) -> None:
        self.sources = sources
        self._epochs = [0] * len(sources)
        self._positions = [0] * len(sources)
        self._dealt = [0] * len(sources)

    def next(self) -> Place:
        """Where the next window comes from."""
        index = min(range(len(self.sources)), key=self._due)
        if self._positions[index] == self.sources[index].windows.num_windows(self._epochs[index]):
            self._epochs[index], self._positions[index] = self._epochs[index] + 1, 0
        place = Place(index, self._epochs[index], self._positions[index])
        self._positions[index] += 1
        self._dealt[index] += 1
        return place

    def window(self, place: Place) -> Window:
        """The targets of the window at a place."""
        return self.sources[place.source].windows.window(place.epoch, place.position)

    def state(self) -> dict[str, dict[str, int]]:
        """Epoch and position of every source, by name."""
        return {
            source.name: {"epoch": epoch, "position": position}
            for source, epoch, position in zip(self.sources, self._epochs, self._positions, strict=True)
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state()`."""
        for index, source in enumerate(self.sources):
            place = state[source.name]
            self._epochs[index], self._positions[index] = int(place["epoch"]), int(place["position"])
            before = sum(source.windows.num_windows(epoch) for epoch in range(self._epochs[index]))
            self._dealt[index] = before + self._positions[index]

    def _due(self, index: int) -> float:
        return (self._dealt[index] + 0.5) / self.sources[index].weight


def make_reading_order(
    shards: TokenShards, *, packing: str, context_length: int, seed: int, weights: Mapping[str, float] | None = None
) -> ReadingOrder:
    """The order of a run: with `weights`, of the sources that they name, else of all rows as one stream.

    Raises:
        ConfigurationError: a weight for a source that the shards do not have, or one that is not above 0.
        InputError: a source is too small for a single window.
    """
    if not weights:
        stream = TokenStream(shards)
        return ReadingOrder([Source(ALL, stream, make_windows(packing, stream, context_length, seed), 1.0)])
    known = source_names(shards)
    for name, weight in weights.items():
        if name not in known:
            raise ConfigurationError(unknown_key(name, known, "source_weights"))
        if not (isinstance(weight, int | float) and 0 < weight < math.inf):
            raise ConfigurationError(f"source_weights.{name}: {weight}, expected a number above 0")
    total = sum(weights.values())
    streams = {name: TokenStream(shards, name) for name in sorted(weights)}
    return ReadingOrder(
        [
            Source(name, stream, _windows_of(name, packing, stream, context_length, seed), weights[name] / total)
            for name, stream in streams.items()
        ]
    )


def _windows_of(name: str, packing: str, stream: TokenStream, context_length: int, seed: int) -> Windows:
    try:
        return make_windows(packing, stream, context_length, seed)
    except InputError as error:
        raise InputError(f"source '{name}': {error}") from None


def order_of_run(config: PretrainConfig, shards: TokenShards) -> ReadingOrder:
    """The order in which a run with this configuration reads these shards; errors as `make_reading_order`."""
    return make_reading_order(
        shards,
        packing=config.packing,
        context_length=config.model_config(shards.vocab_size).context_length,
        seed=config.seed,
        weights=config.source_weights,
    )


def steps_that_read(
    order: ReadingOrder, batch_size: int, num_steps: int, start: int, end: int, source: int = 0
) -> Iterator[int]:
    """The training steps (from 1) whose batch holds a target among the tokens `start` to `end` (exclusive) of the
    stream of a source.
    """
    windows = order.sources[source].windows
    num_dealt = num_steps * batch_size
    ranks = _ranks(order, source, num_dealt)
    before, epoch, last = 0, 0, 0
    while before < len(ranks):
        dealt = before + windows.positions_of(epoch, start, end)
        steps = np.unique(ranks[dealt[dealt < len(ranks)]] // batch_size + 1)
        for step in steps[steps > last].tolist():  # a batch may hold the end of one epoch and the start of the next
            yield step
            last = step
        before, epoch = before + windows.num_windows(epoch), epoch + 1


def steps_that_read_document(order: ReadingOrder, batch_size: int, num_steps: int, doc_id: str) -> list[int]:
    """The training steps (from 1) that have a token of the document among their targets."""
    steps: set[int] = set()
    for index, source in enumerate(order.sources):
        span = source.stream.span_of(doc_id)
        if span is not None:
            steps.update(steps_that_read(order, batch_size, num_steps, *span, index))
    return sorted(steps)


def _ranks(order: ReadingOrder, source: int, num_dealt: int) -> npt.NDArray[np.int64]:
    """For each of a source's windows among the first `num_dealt` of all, its number among all."""
    # By the time T at least w T - 1/2 windows of each source are due, so of all T - (number of sources) / 2: the first
    # `num_dealt` are due before `latest`.
    latest = num_dealt + len(order.sources)
    due = [(np.arange(int(latest * other.weight) + 2) + 0.5) / other.weight for other in order.sources]
    ranks = np.arange(len(due[source]))
    for index, other_due in enumerate(due):
        if index != source:
            # Of windows that fall due together, those of earlier sources come first.
            ranks = ranks + np.searchsorted(other_due, due[source], side="right" if index < source else "left")
    return ranks[ranks < num_dealt]
