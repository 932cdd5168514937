"""Loss-spike detection.

A loss is a spike where it exceeds the median of the last `window` losses by more than `threshold` robust deviations,
1.4826 times the median distance from that median (a normal distribution's standard deviation, but one that the spikes
themselves do not inflate).
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Sequence

_SMALLEST_DEVIATION = 0.01
"""As a share of the median: a loss that hardly moves must not make every ripple a spike."""
_FEWEST = 16


class SpikeDetector:
    """Keeps the last losses; they belong to a checkpoint, since they decide which updates are skipped."""

    def __init__(self, threshold: float, window: int = 128) -> None:
        self.threshold = threshold
        self.losses: deque[float] = deque(maxlen=window)

    def deviations(self, loss: float) -> float | None:
        """Return the number of robust deviations by which `loss` is a spike; None where it is not a spike. The loss
        joins the window either way, so that a lasting change becomes the new normal.
        """
        found = self._measure(loss) if self.threshold and len(self.losses) >= _FEWEST else None
        self.losses.append(loss)
        return found

    def state(self) -> list[float]:
        """Return the window."""
        return list(self.losses)

    def restore(self, state: Sequence[float]) -> None:
        """Go on from a `state()`."""
        self.losses.clear()
        self.losses.extend(state)

    def _measure(self, loss: float) -> float | None:
        middle = statistics.median(self.losses)
        distance = statistics.median([abs(other - middle) for other in self.losses])
        deviation = max(1.4826 * distance, _SMALLEST_DEVIATION * abs(middle))
        found = (loss - middle) / deviation if deviation else 0.0
        return found if found > self.threshold else None
