"""Progress bars: drawn by `tqdm` on a terminal, absent in a pipe.

`LOAM_PROGRESS=1` forces the bars, `LOAM_PROGRESS=0` hides them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

Item = TypeVar("Item")


def visible() -> bool:
    """Return whether bars are drawn: on a terminal, unless `LOAM_PROGRESS` decides."""
    setting = os.environ.get("LOAM_PROGRESS")
    return sys.stderr.isatty() if setting is None else setting not in ("", "0")


class SilentBar:
    """A progress bar without output, with the methods of tqdm that Loam uses."""

    def update(self, count: int = 1) -> None:
        """Do nothing."""

    def set_postfix(self, **values: object) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def track(
    iterable: Iterable[Item], description: str, *, total: int | None = None, unit: str = "it", initial: int = 0
) -> Iterator[Item]:
    """Yield the items of `iterable` and draw a bar on stderr, with the rate in `unit` and the remaining time."""
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    with bar(description, total=total, unit=unit, initial=initial) as drawn:
        for item in iterable:
            yield item
            drawn.update()


def bar(
    description: str, *, total: int | None = None, unit: str = "it", initial: int = 0
) -> tqdm[NoReturn] | SilentBar:
    """Return a bar for work that is not a plain iteration: call `update(n)`, then `close()`."""
    if not visible():
        return SilentBar()
    from tqdm import tqdm

    return tqdm(
        desc=description,
        total=total,
        unit=unit,
        initial=initial,
        unit_scale=unit in ("B", "tok"),
        dynamic_ncols=True,
    )
