"""Muon over slices of matrices, as fully sharded data parallelism keeps them.

Momentum is elementwise and stays in slices. The update needs whole matrices: their slices are gathered, every rank
makes them orthogonal, and each applies its own slice. A step sends (N − 1)/N of the matrices' bytes more than AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from lm.parallel.collectives import Group, all_gather, num_ranks
from lm.training.muon import Muon


class SlicedMuon(Muon):
    """Muon whose parameters are flat slices.

    Args:
        places: of each slice by its `id`: the whole shape, the first element and the end.
        by_rows: slices are of ceil(rows / N) whole rows; else of ceil(elements / N) elements.
    """

    def __init__(
        self,
        params: Iterable[Any],
        *,
        places: Mapping[int, tuple[Sequence[int], int, int]],
        by_rows: bool = False,
        group: Group = None,
        **settings: Any,
    ) -> None:
        self._places, self._by_rows, self._ranks = places, by_rows, group
        super().__init__(params, **settings)

    def _whole(self, parts: list[Tensor], parameters: list[Tensor]) -> list[Tensor]:
        waiting = []
        for part, parameter in zip(parts, parameters, strict=True):
            shape = list(self._places[id(parameter)][0])
            numel = math.prod(shape)
            unit = numel // shape[0] if self._by_rows else 1
            padded = part.new_zeros(-(-(numel // unit) // num_ranks(self._ranks)) * unit)
            padded[: len(part)] = part
            whole = part.new_empty(len(padded) * num_ranks(self._ranks))
            waiting.append((whole, numel, shape, all_gather(whole, padded, self._ranks)))
        for _, _, _, pending in waiting:
            pending.wait()
        return [whole[:numel].view(shape) for whole, numel, shape, _ in waiting]

    def _parts(self, updates: list[Tensor], parameters: list[Tensor]) -> list[Tensor]:
        places = [self._places[id(parameter)] for parameter in parameters]
        return [update.reshape(-1)[start:end] for update, (_, start, end) in zip(updates, places, strict=True)]
