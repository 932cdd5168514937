"""Progress of long work: a bar where a person watches, silence in a pipe.

`tqdm` draws; `LOAM_PROGRESS=1` forces the bars, `LOAM_PROGRESS=0` hides them.
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
    """Whether bars are drawn: on a terminal, unless `LOAM_PROGRESS` says otherwise."""
    setting = os.environ.get("LOAM_PROGRESS")
    return sys.stderr.isatty() if setting is None else setting not in ("", "0")


class SilentBar:
    """A bar that nobody watches. It also stands in for tqdm where that is not installed, on a bare GPU machine."""

    def update(self, count: int = 1) -> None:
        """Count on, unseen."""

    def set_postfix(self, **values: object) -> None:
        """Show nothing."""

    def close(self) -> None:
        """End."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def track(
    iterable: Iterable[Item], description: str, *, total: int | None = None, unit: str = "it", initial: int = 0
) -> Iterator[Item]:
    """Yield the items of `iterable` and draw a bar on stderr with the rate in `unit` and the time left."""
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    with bar(description, total=total, unit=unit, initial=initial) as drawn:
        for item in iterable:
            yield item
            drawn.update()


def bar(
    description: str, *, total: int | None = None, unit: str = "it", initial: int = 0
) -> tqdm[NoReturn] | SilentBar:
    """A bar to `update(n)` by hand and close, for work that is no plain iteration."""
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
