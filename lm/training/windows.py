"""Packing: how a stream of documents is cut into windows of one length, and in which order an epoch visits them.

A window is defined by its targets: ranges of positions in the stream, at most `context_length` targets together. The
id before the first target (at the beginning of the stream the end-of-text id) is the first input; so every packing
predicts a document's first token from the end-of-text id before it, as evaluation does.

- `stream`: the stream as it is, cut at a random phase into windows of equal length, another phase each epoch. Nothing
  is padded; a window may begin and end inside documents. Every token is a target once an epoch, but for less than a
  window at either end.
- `best_fit`: whole documents, packed by best fit decreasing (Ding et al. 2024): a document goes where it leaves the
  least room. No document of up to `context_length` tokens is ever cut.
- `padded`: each document in a window of its own, the rest padding.

In the last two, a longer document is cut into windows of `context_length` and a rest. The rest of a document beside
another one has lost what came before it: its first token is not a target there.

The order is a permutation from (seed, epoch) alone, so that (epoch, position) says all that resuming needs. No torch
here: `pipelines.trace.trace` asks the same order which steps read a document.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from lm.errors import ConfigurationError, InputError
from lm.token_stream import TokenStream

_Positions = npt.NDArray[np.int64]


class Window(NamedTuple):
    """Targets of one window: ranges `[piece 2]` of the stream, and for each whether its first token is left out."""

    pieces: _Positions
    first_left_out: npt.NDArray[np.bool_]

    @property
    def num_targets(self) -> int:
        """Positions that count in the loss."""
        return int((self.pieces[:, 1] - self.pieces[:, 0]).sum() - self.first_left_out.sum())


class Windows(Protocol):
    """The windows of a stream in the order of their visit."""

    context_length: int

    def num_windows(self, epoch: int) -> int:
        """Return the number of windows in the epoch."""
        ...

    def window(self, epoch: int, position: int) -> Window:
        """Return the window that is visited at `position` of the epoch."""
        ...

    def size(self, epoch: int, position: int) -> int:
        """Return the number of targets of the window that is visited at `position` of the epoch."""
        ...

    def sizes(self, epoch: int) -> _Positions:
        """Return the same of all windows of the epoch, in the order of their visit."""
        ...

    def positions_of(self, epoch: int, start: int, end: int) -> _Positions:
        """Return the places in the epoch of the windows with a target among the positions `start` to `end`."""
        ...


class StreamWindows:
    """Windows of equal length, at another phase each epoch."""

    def __init__(self, num_tokens: int, context_length: int, seed: int) -> None:
        if num_tokens < context_length + 1:
            raise InputError(
                f"{num_tokens:,} training tokens, expected at least context_length + 1 = {context_length + 1:,}"
            )
        self.num_tokens, self.context_length, self.seed = num_tokens, context_length, seed
        self._starts = lru_cache(maxsize=2)(self._make_starts)

    def starts(self, epoch: int) -> _Positions:
        """Return the first inputs of the windows of `epoch`, in the order of their visit."""
        return self._starts(epoch)

    def num_windows(self, epoch: int) -> int:
        """Return the number of windows: all but a rest at either end."""
        return (self.num_tokens - 1 - self._phase(np.random.default_rng([self.seed, epoch]))) // self.context_length

    def size(self, epoch: int, position: int) -> int:
        """Return the length of a whole context."""
        return self.context_length

    def sizes(self, epoch: int) -> _Positions:
        """Return the sizes of the windows: a whole context each."""
        return np.full(self.num_windows(epoch), self.context_length, np.int64)

    def window(self, epoch: int, position: int) -> Window:
        """Return the window as one range."""
        start = int(self._starts(epoch)[position])
        return Window(np.array([[start + 1, start + 1 + self.context_length]]), np.zeros(1, np.bool_))

    def positions_of(self, epoch: int, start: int, end: int) -> _Positions:
        """Return the places of the windows over these tokens."""
        starts = self._starts(epoch)
        return np.flatnonzero((starts + self.context_length >= start) & (starts + 1 < end))

    def _make_starts(self, epoch: int) -> _Positions:
        random = np.random.default_rng([self.seed, epoch])
        phase = self._phase(random)
        num_windows = (self.num_tokens - 1 - phase) // self.context_length
        return phase + random.permutation(num_windows).astype(np.int64) * self.context_length

    def _phase(self, random: np.random.Generator) -> int:
        room = self.num_tokens - 1 - self.context_length
        return int(random.integers(0, min(self.context_length, room + 1)))


class DocumentWindows:
    """Windows of whole documents: which pieces share a window stays, the order of visit changes with the epoch."""

    def __init__(
        self, document_begins: _Positions, context_length: int, seed: int, place: Callable[..., _Positions]
    ) -> None:
        if len(document_begins) < 2:
            raise InputError("no training documents, expected at least 1")
        self.context_length, self.seed = context_length, seed
        pieces, continues = _pieces(document_begins, context_length)
        rows = place(pieces[:, 1] - pieces[:, 0], context_length)
        # The rest of a long document first, where its first token can follow the one before it.
        order = np.lexsort((pieces[:, 0], ~continues, rows))
        self._pieces, rows = pieces[order], rows[order]
        self._begins = np.flatnonzero(np.diff(rows, prepend=-1, append=rows[-1] + 1))
        self._left_out = continues[order]
        self._left_out[self._begins[:-1]] = False
        lengths = self._pieces[:, 1] - self._pieces[:, 0] - self._left_out
        self._sizes = np.add.reduceat(lengths, self._begins[:-1])
        self._order = lru_cache(maxsize=2)(self._make_order)

    def num_windows(self, epoch: int) -> int:
        """Return the number of windows, the same in every epoch."""
        return len(self._begins) - 1

    def size(self, epoch: int, position: int) -> int:
        """Return the number of targets of the pieces that share a window."""
        return int(self._sizes[self._order(epoch)[position]])

    def sizes(self, epoch: int) -> _Positions:
        """Return the same of all windows."""
        return self._sizes[self._order(epoch)]

    def window(self, epoch: int, position: int) -> Window:
        """Return the pieces that share a window."""
        row = int(self._order(epoch)[position])
        span = slice(int(self._begins[row]), int(self._begins[row + 1]))
        return Window(self._pieces[span], self._left_out[span])

    def positions_of(self, epoch: int, start: int, end: int) -> _Positions:
        """Return the places of the windows over these tokens; a target that is left out does not count."""
        first = self._pieces[:, 0] + self._left_out
        hits = np.flatnonzero((first < end) & (self._pieces[:, 1] > start) & (first < self._pieces[:, 1]))
        rows = np.unique(np.searchsorted(self._begins, hits, side="right") - 1)
        visited_at = np.empty(len(self._begins) - 1, np.int64)
        visited_at[self._order(epoch)] = np.arange(len(visited_at))
        return np.sort(visited_at[rows])

    def _make_order(self, epoch: int) -> _Positions:
        return np.random.default_rng([self.seed, epoch]).permutation(len(self._begins) - 1).astype(np.int64)


def make_windows(packing: str, stream: TokenStream, context_length: int, seed: int) -> Windows:
    """Return the windows of a stream by the name of the packing."""
    if packing == "stream":
        return StreamWindows(len(stream), context_length, seed)
    if packing not in _PLACES:
        raise ConfigurationError(f"packing: '{packing}', expected stream, {', '.join(_PLACES)}")
    return DocumentWindows(stream.document_begins, context_length, seed, _PLACES[packing])


def best_fit(lengths: _Positions, capacity: int) -> _Positions:
    """Return the window of each piece: the longest pieces first, each into the window that it leaves the least room in.

    Bit r of `rooms` says that a window with room r is open, so the tightest fit is the lowest bit from the length on.
    """
    windows = np.empty(len(lengths), np.int64)
    by_room: list[list[int]] = [[] for _ in range(capacity + 1)]
    rooms, num_windows = 0, 0
    sizes = lengths.tolist()
    for piece in np.argsort(-lengths, kind="stable").tolist():
        fitting = rooms >> sizes[piece]
        if fitting:
            room = sizes[piece] + (fitting & -fitting).bit_length() - 1
            window = by_room[room].pop()
            if not by_room[room]:
                rooms ^= 1 << room
        else:
            room, window, num_windows = capacity, num_windows, num_windows + 1
        left = room - sizes[piece]
        if left:
            by_room[left].append(window)
            rooms |= 1 << left
        windows[piece] = window
    return windows


def one_each(lengths: _Positions, capacity: int) -> _Positions:
    """Return a window for every piece."""
    return np.arange(len(lengths), dtype=np.int64)


_PLACES: dict[str, Callable[..., _Positions]] = {"best_fit": best_fit, "padded": one_each}


def _pieces(document_begins: _Positions, longest: int) -> tuple[_Positions, npt.NDArray[np.bool_]]:
    """Return every document as ranges of at most `longest`, and which of them do not begin a document."""
    starts, ends = document_begins[:-1], document_begins[1:]
    counts = -(-(ends - starts) // longest)
    which = np.repeat(np.arange(len(starts)), counts)
    ordinal = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    begins = starts[which] + ordinal * longest
    return np.stack([begins, np.minimum(begins + longest, ends[which])], axis=1), ordinal > 0
