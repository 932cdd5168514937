"""The rows of a split, one after the other, as one stream of token ids."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lm.shards import TokenShards


class TokenStream:
    """The concatenated rows of all shards of a split; reads go to the memory-mapped files."""

    def __init__(self, shards: TokenShards) -> None:
        self.shards = shards
        self._begins = np.cumsum([0, *(shard.tokens.size for shard in shards.shards)])

    def __len__(self) -> int:
        return int(self._begins[-1])

    def read(self, start: int, length: int) -> npt.NDArray[np.int64]:
        """`length` ids from position `start` on; a window may cross from one shard to the next."""
        pieces = []
        while length > 0:
            shard, offset = self._locate(start)
            piece = self.shards.shards[shard].tokens[offset : offset + length]
            pieces.append(piece)
            start, length = start + piece.size, length - piece.size
        return np.concatenate(pieces).astype(np.int64)

    def doc_ids(self, start: int, end: int) -> list[str]:
        """The documents that the ids `start` to `end` (exclusive) come from, in order."""
        found: list[str] = []
        while start < end:
            shard, offset = self._locate(start)
            offsets = self.shards.shards[shard].offsets
            row = int(np.searchsorted(offsets, offset, side="right")) - 1
            found.append(self.shards.doc_id(shard, row))
            start += int(offsets[row + 1]) - offset
        return found

    def _locate(self, position: int) -> tuple[int, int]:
        if not 0 <= position < len(self):
            raise IndexError(f"token {position} of a stream of {len(self)}")
        shard = int(np.searchsorted(self._begins, position, side="right")) - 1
        return shard, position - int(self._begins[shard])
