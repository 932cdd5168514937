"""Bytes that a rank sends in a collective, by the ring algorithms (Patarasu and Yuan 2009).

all-gather, reduce-scatter    (N − 1)/N · S      S the bytes of the whole tensor, N the ranks
all-reduce                    2 (N − 1)/N · S    a reduce-scatter, then an all-gather
broadcast, reduce             (N − 1)/N · S      on average over the ranks: each but the last passes all bytes on
"""

from __future__ import annotations

from typing import Literal

Collective = Literal["all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce"]


def ring_bytes(collective: Collective, size_bytes: float, num_ranks: int) -> float:
    """Return the bytes that one rank of `num_ranks` sends for a tensor of `size_bytes`, the whole of it."""
    passes = 2 if collective == "all_reduce" else 1
    return passes * (num_ranks - 1) / num_ranks * size_bytes


def ring_seconds(
    collective: Collective, size_bytes: float, num_ranks: int, bytes_per_s: float, latency_s: float = 0.0
) -> float:
    """Return the seconds of a collective over links of `bytes_per_s` in each direction.

    An all-gather of S bytes takes (N − 1)/N · S/W, an all-reduce twice that.
    """
    steps = (2 if collective == "all_reduce" else 1) * (num_ranks - 1)
    return ring_bytes(collective, size_bytes, num_ranks) / bytes_per_s + steps * latency_s
