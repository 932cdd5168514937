"""Progress of long work: a bar where a person watches, silence in a pipe.

`tqdm` draws; `LOAM_PROGRESS=1` forces the bars, `LOAM_PROGRESS=0` hides them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def visible() -> bool:
    """Whether bars are drawn: on a terminal, unless `LOAM_PROGRESS` says otherwise."""
    setting = os.environ.get("LOAM_PROGRESS")
    return sys.stderr.isatty() if setting is None else setting not in ("", "0")


def track(
    iterable: Iterable[Item], description: str, *, total: int | None = None, unit: str = "it", initial: int = 0
) -> Iterator[Item]:
    """Yield the items of `iterable` and draw a bar on stderr with the rate in `unit` and the time left."""
    yield from tqdm(
        iterable, desc=description, total=total, unit=unit, initial=initial, disable=not visible(), dynamic_ncols=True
    )


def bar(description: str, *, total: int | None = None, unit: str = "it", initial: int = 0) -> tqdm[None]:
    """A bar to `update(n)` by hand and close, for work that is no plain iteration."""
    return tqdm(
        desc=description,
        total=total,
        unit=unit,
        initial=initial,
        unit_scale=unit in ("B", "tok"),
        disable=not visible(),
        dynamic_ncols=True,
    )
