"""The order in which steps read windows: several sources by weight, each at its own pace through its own epochs.

A weight is a share of the targets, not of the windows: a padded window of a short document holds few. A window of s
targets, after c targets of its source of weight w, is due at (c + s/2) / w. Windows are dealt as they fall due, those
of earlier names first where two fall due together. So at every point of the run each source has had its share of the
targets, to within a few windows, and the whole order is a pure function of seed and configuration. No torch here, as
in `windows`.

Chat text joins in the decay of a wsd run, with a share s of the windows: window m of the decay, from 0, is the next one
of the chat text where floor((m + 1) s) > floor(m s), else the next one of the sources. No chat comes earlier.
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
"""The name of the one source where sources are not distinguished."""
CHAT = "chat text of the decay"
"""The name of the source of chat text."""


@dataclass(frozen=True, slots=True)
class ChatDecay:
    """The windows of a run that are chat text: a share of those from the first window of the decay on."""

    first_window: int
    share: float

    def num_chat(self, num_windows: int) -> int:
        """Return how many of the first `num_windows` windows of the run are chat text."""
        return math.floor(max(0, num_windows - self.first_window) * self.share)

    def is_chat(self, number: int) -> bool:
        """Return whether a window, counted from 0, is chat text."""
        return self.num_chat(number + 1) > self.num_chat(number)

    def text_numbers(self, num_windows: int) -> npt.NDArray[np.int64]:
        """Return which of the first `num_windows` windows of the run are not chat text."""
        edges = np.floor(np.maximum(0, np.arange(num_windows + 1) - self.first_window) * self.share)
        return np.flatnonzero(np.diff(edges) == 0)


@dataclass(frozen=True, slots=True)
class Source:
    """A stream, its windows, and its share of all targets."""

    name: str
    stream: TokenStream
    windows: Windows
    weight: float


class Place(NamedTuple):
    """One window of a source: which epoch, and where in its order."""

    source: int
    epoch: int
    position: int


_BEGIN = {"epoch": 0, "position": 0}


class ReadingOrder:
    """The windows of all sources in the order of their visit; `state()` and `restore()` are all that resuming needs."""

    def __init__(self, sources: list[Source], decay: ChatDecay | None = None, chat: Source | None = None) -> None:
        """Args:
        decay: the windows that are chat text; without `chat` their order is known, but not their text.
        """
        self.num_text_sources, self.decay = len(sources), decay
        self.sources = sources if chat is None else [*sources, chat]
        self._epochs = [0] * len(self.sources)
        self._positions = [0] * len(self.sources)
        self._dealt = [0] * len(self.sources)
        """Targets of each source so far."""
        self._number = 0
        """Windows so far."""

    def next(self) -> Place:
        """Return the place of the next window.

        Raises:
            InputError: it is chat text, and there is none.
        """
        place = self._following(self._next_source())
        index = place.source
        self._dealt[index] += self._size(place)
        self._epochs[index], self._positions[index] = place.epoch, place.position + 1
        self._number += 1
        return place

    def _next_source(self) -> int:
        if self.decay is not None and self.decay.is_chat(self._number):
            if len(self.sources) == self.num_text_sources:
                raise InputError(f"window {self._number:,} is chat text, expected shards of chat text to read it from")
            return self.num_text_sources
        return 0 if self.num_text_sources == 1 else min(range(self.num_text_sources), key=self._due)

    def window(self, place: Place) -> Window:
        """Return the targets of the window at a place."""
        return self.sources[place.source].windows.window(place.epoch, place.position)

    def state(self) -> dict[str, dict[str, int]]:
        """Return the epoch and position of every source, by name."""
        return {
            source.name: {"epoch": epoch, "position": position}
            for source, epoch, position in zip(self.sources, self._epochs, self._positions, strict=True)
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state()`; of a run without chat text it is one from before the decay."""
        self._number = 0
        for index, source in enumerate(self.sources):
            place = state.get(source.name, _BEGIN) if index == self.num_text_sources else state[source.name]
            self._epochs[index], self._positions[index] = int(place["epoch"]), int(place["position"])
            sizes = (source.windows.sizes(epoch) for epoch in range(self._epochs[index]))
            before = sum(int(each.sum()) for each in sizes)
            last = source.windows.sizes(self._epochs[index])[: self._positions[index]]
            self._dealt[index] = before + int(last.sum())
            epochs = (source.windows.num_windows(epoch) for epoch in range(self._epochs[index]))
            self._number += sum(epochs) + self._positions[index]

    def _following(self, index: int) -> Place:
        """Return the place of a source's next window."""
        epoch, position = self._epochs[index], self._positions[index]
        if position == self.sources[index].windows.num_windows(epoch):
            return Place(index, epoch + 1, 0)
        return Place(index, epoch, position)

    def _size(self, place: Place) -> int:
        return self.sources[place.source].windows.size(place.epoch, place.position)

    def _due(self, index: int) -> float:
        return (self._dealt[index] + self._size(self._following(index)) / 2) / self.sources[index].weight


def make_reading_order(
    shards: TokenShards,
    *,
    packing: str,
    context_length: int,
    seed: int,
    weights: Mapping[str, float] | None = None,
    decay: ChatDecay | None = None,
    chat: TokenShards | None = None,
) -> ReadingOrder:
    """Return the order of a run: with `weights`, of the sources that they name, else of all rows as one stream; and
    `chat` text where `decay` says.

    Raises:
        ConfigurationError: a weight for a source that the shards do not have, or one that is not above 0.
        InputError: a source is too small for a single window.
    """
    joining = None
    if decay is not None and chat is not None:
        stream = TokenStream(chat)
        joining = Source(CHAT, stream, _windows_of(CHAT, packing, stream, context_length, seed), 1.0)
    if not weights:
        stream = TokenStream(shards)
        alone = Source(ALL, stream, make_windows(packing, stream, context_length, seed), 1.0)
        return ReadingOrder([alone], decay, joining)
    known = source_names(shards)
    for name, weight in weights.items():
        if name not in known or name == CHAT:
            raise ConfigurationError(unknown_key(name, known, "source_weights"))
        if not (isinstance(weight, int | float) and 0 < weight < math.inf):
            raise ConfigurationError(f"source_weights.{name}: {weight}, expected a number above 0")
    total = sum(weights.values())
    streams = {name: TokenStream(shards, name) for name in sorted(weights)}
    return ReadingOrder(
        [
            Source(name, stream, _windows_of(name, packing, stream, context_length, seed), weights[name] / total)
            for name, stream in streams.items()
        ],
        decay,
        joining,
    )


def _windows_of(name: str, packing: str, stream: TokenStream, context_length: int, seed: int) -> Windows:
    try:
        return make_windows(packing, stream, context_length, seed)
    except InputError as error:
        raise InputError(f"source '{name}': {error}") from None


def order_of_run(config: PretrainConfig, shards: TokenShards, chat: TokenShards | None = None) -> ReadingOrder:
    """Return the order in which a run with this configuration reads these shards, and shards of `chat` text in its
    decay; errors as `make_reading_order`.
    """
    context_length = config.model_config(shards.vocab_size).context_length
    return make_reading_order(
        shards,
        packing=config.packing,
        context_length=context_length,
        seed=config.seed,
        weights=config.source_weights,
        decay=decay_of_run(config, config.steps(context_length)),
        chat=chat,
    )


def decay_of_run(config: PretrainConfig, num_steps: int) -> ChatDecay | None:
    """Return the windows of a run that are chat text; None where none are."""
    if not config.decay_chat_share:
        return None
    flat_steps = num_steps - config.decay_steps(num_steps)
    return ChatDecay(flat_steps * config.batch_size, config.decay_chat_share)


def steps_that_read(
    order: ReadingOrder, batch_size: int, num_steps: int, start: int, end: int, source: int = 0
) -> Iterator[int]:
    """Yield the training steps (from 1) whose batch holds a target among the tokens `start` to `end` (exclusive) of the
    stream of a source.
    """
    windows = order.sources[source].windows
    ranks = _numbers(order, source, num_steps * batch_size)
    before, epoch, last = 0, 0, 0
    while before < len(ranks):
        dealt = before + windows.positions_of(epoch, start, end)
        steps = np.unique(ranks[dealt[dealt < len(ranks)]] // batch_size + 1)
        for step in steps[steps > last].tolist():  # a batch may hold the end of one epoch and the start of the next
            yield step
            last = step
        before, epoch = before + windows.num_windows(epoch), epoch + 1


def steps_that_read_document(order: ReadingOrder, batch_size: int, num_steps: int, doc_id: str) -> list[int]:
    """Return the training steps (from 1) that have a token of the document among their targets."""
    steps: set[int] = set()
    for index, source in enumerate(order.sources[: order.num_text_sources]):
        span = source.stream.span_of(doc_id)
        if span is not None:
            steps.update(steps_that_read(order, batch_size, num_steps, *span, index))
    return sorted(steps)


def _numbers(order: ReadingOrder, source: int, num_dealt: int) -> npt.NDArray[np.int64]:
    """Return the numbers of a source's windows among all, chat text included, for the first `num_dealt` of all."""
    if order.decay is None:
        return _ranks(order, source, num_dealt)
    numbers = order.decay.text_numbers(num_dealt)
    return numbers[_ranks(order, source, len(numbers))]


def _ranks(order: ReadingOrder, source: int, num_dealt: int) -> npt.NDArray[np.int64]:
    """Return the numbers of a source's windows among all but chat text, for the first `num_dealt` of these."""
    if order.num_text_sources == 1:
        return np.arange(num_dealt)
    latest, due = float(order.sources[source].windows.context_length), [np.empty(0)]
    while sum(map(len, due)) < num_dealt:
        latest *= 2
        due = [_due_until(each, latest) for each in order.sources[: order.num_text_sources]]
    ranks = np.arange(len(due[source]))
    for index, other_due in enumerate(due):
        if index != source:
            # Of windows that fall due together, those of earlier sources come first.
            ranks = ranks + np.searchsorted(other_due, due[source], side="right" if index < source else "left")
    return ranks[ranks < num_dealt]


def _due_until(source: Source, latest: float) -> npt.NDArray[np.float64]:
    """Return the times at which the windows of a source fall due, up to `latest`."""
    parts, before, epoch = [np.empty(0)], 0, 0
    while not len(parts[-1]) or parts[-1][-1] <= latest:
        sizes = source.windows.sizes(epoch)
        parts.append((before + np.cumsum(sizes) - sizes + sizes / 2) / source.weight)
        before, epoch = before + int(sizes.sum()), epoch + 1
    due = np.concatenate(parts)
    return due[due <= latest]
