"""Plots and tables for asset metadata: pictures inside Markdown, and Dagster tables."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from pipelines.report import charts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIZE_INCHES = (7.0, 3.4)
_DOTS_PER_INCH = 110
_SHOWN_INLINE = 1_000
_TABLE_WIDTH, _CHARACTER, _PADDING = 460, 7.2, 16
"""Pixels: of the column of values on an asset's page in a window of 1,500, and of a table's characters and cells."""


class Picture:
    """A drawing: axes to draw on, then the picture as metadata."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.metadata: dg.MarkdownMetadataValue = dg.MetadataValue.md("")


@contextmanager
def drawing(title: str, *, x: str = "", y: str = "") -> Iterator[Picture]:
    """Open a titled plot: draw on `.axes` inside the block; afterwards `.metadata` has the PNG as Markdown."""
    # Figure rather than pyplot: no display, no shared state. Imported here, since it is slow to load.
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(title=title, xlabel=x, ylabel=y)
    picture = Picture(axes)
    yield picture
    picture.metadata = _markdown_picture(title, figure)


def _markdown_picture(title: str, figure: Figure) -> dg.MarkdownMetadataValue:
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    encoded = base64.b64encode(png.getvalue()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/png;base64,{encoded})")


def lines(
    title: str, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, x: str, y: str
) -> dg.MarkdownMetadataValue:
    """Plot named curves of (x values, y values)."""
    with drawing(title, x=x, y=y) as picture:
        for name, (xs, ys) in curves.items():
            picture.axes.plot(xs, ys, label=name, linewidth=1.5)
        picture.axes.grid(alpha=0.3)
        if len(curves) > 1:
            picture.axes.legend(frameon=False)
    return picture.metadata


def side_by_side(
    title: str, panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float]]]], *, y: str
) -> dg.MarkdownMetadataValue:
    """Plot panels that share a legend, each named by its x axis, each with named curves; a name has one colour in
    all.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.4 * _SIZE_INCHES[0], _SIZE_INCHES[1]), dpi=_DOTS_PER_INCH, layout="constrained")
    figure.suptitle(title)
    names = list(dict.fromkeys(name for curves in panels.values() for name in curves))
    for index, (x, curves) in enumerate(panels.items()):
        axes = figure.add_subplot(1, len(panels), index + 1)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set(xlabel=x, ylabel=y if index == 0 else "")
        for name, (xs, ys) in curves.items():
            axes.plot(xs, ys, label=name, linewidth=1.5, color=f"C{names.index(name) % 10}")
        axes.grid(alpha=0.3)
        if index == len(panels) - 1:
            axes.legend(frameon=False, fontsize="small")
    return _markdown_picture(title, figure)


def bars(title: str, values: Mapping[str, float], *, x: str) -> dg.MarkdownMetadataValue:
    """Plot horizontal bars, the first on top, each with its value."""
    return svg(title, charts.bars(title, values, x))


def spreads(title: str, entries: Mapping[str, Mapping[str, Any]], *, y: str) -> dg.MarkdownMetadataValue:
    """Plot means with their deviations, and every value as a dot: entries of `lm.alignment.seed_report.spread`, by
    name.
    """
    with drawing(title, y=y) as picture:
        names = list(entries)
        means, deviations = ([entries[name][key] for name in names] for key in ("mean", "deviation"))
        picture.axes.errorbar(range(len(names)), means, yerr=deviations, fmt="_", markersize=18, capsize=6)
        for place, name in enumerate(names):
            values = entries[name]["values"]
            picture.axes.plot([place] * len(values), values, "o", color="#c44e52", alpha=0.6, markersize=4)
        picture.axes.set_xticks(range(len(names)), names)
        picture.axes.grid(axis="y", alpha=0.3)
    return picture.metadata


def shares(title: str, values: Mapping[str, float]) -> dg.MarkdownMetadataValue:
    """Plot horizontal bars of shares, in percent."""
    return svg(title, charts.bars(title, values, percent=True))


def histogram(
    title: str, values: Sequence[float], *, x: str, threshold: float | None = None
) -> dg.MarkdownMetadataValue:
    """Return a histogram of scores, with the threshold as a line."""
    with drawing(title, x=x, y="documents") as picture:
        picture.axes.hist(values, bins=40, color="#4c72b0")
        if threshold is not None:
            picture.axes.axvline(threshold, color="#c44e52", label=f"threshold {threshold:.3g}")
            picture.axes.legend(frameon=False)
    return picture.metadata


def svg(title: str, drawn: str) -> dg.MarkdownMetadataValue:
    """Return a chart of `pipelines.report.charts` as a picture in Markdown."""
    encoded = base64.b64encode(drawn.encode()).decode()
    return dg.MetadataValue.md(f"![{title}](data:image/svg+xml;base64,{encoded})")


def inline(name: str, drawn: str) -> dg.MarkdownMetadataValue:
    """Return a picture of `pipelines.report.small_charts`, small enough that Dagster's page shows it without a
    click.
    """
    return svg(name, drawn)


def is_inline(value: Any) -> bool:
    """Return whether Dagster's page shows a value without a click: a picture of fewer than 1,000 characters."""
    is_picture = isinstance(value, dg.MarkdownMetadataValue) and (value.value or "").startswith("![")
    return is_picture and len(value.value or "") < _SHOWN_INLINE


def table(
    rows: Sequence[Mapping[str, Any]],
) -> dg.TableMetadataValue | dg.MarkdownMetadataValue | dg.TextMetadataValue:
    """Return rows of plain values as a table, numbers rounded to four digits; all rows have the keys of the first.

    Dagster's page cuts a table that is wider than its column, so a wide one is Markdown, which wraps.
    """
    if not rows:
        return dg.MetadataValue.text("no rows")
    cells = [{name: _cell(value) for name, value in row.items()} for row in rows]
    if _width(cells) > _TABLE_WIDTH:
        return dg.MetadataValue.md(_markdown_table(cells))
    kinds: dict[type, str] = {bool: "bool", int: "int", float: "float"}
    columns = [dg.TableColumn(name, kinds.get(type(value), "string")) for name, value in cells[0].items()]
    return dg.MetadataValue.table([dg.TableRecord(row) for row in cells], schema=dg.TableSchema(columns))


def _width(cells: Sequence[Mapping[str, Any]]) -> float:
    """Return the width of a table in pixels, as Dagster's page sets it."""
    longest = (max(len(name), *(len(str(row[name])) for row in cells)) for name in cells[0])
    return sum(_CHARACTER * width + _PADDING for width in longest)


def _markdown_table(cells: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows in Markdown: numbers to the right, line ends visible, no markup of a text taken for markup."""
    from pipelines.report.samples import cell  # here, since it loads what only a run needs

    right = {name: isinstance(value, int | float) and not isinstance(value, bool) for name, value in cells[0].items()}
    lines = [[name.replace("_", " ") for name in right], ["--:" if each else "---" for each in right.values()]]
    lines += [[cell(_text(value)).replace("\n", " ⏎ ").replace("\r", " ") for value in row.values()] for row in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def readable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a table with bytes, FLOPs and counts of parameters or tokens as people write them."""
    return {name: _with_unit(name, value) for name, value in row.items()}


def bytes_text(size_bytes: float) -> str:
    """Return a size as text, such as 5.9 MB."""
    return _scaled(size_bytes, {12: "TB", 9: "GB", 6: "MB", 3: "kB", 0: "bytes"})


def path(place: Path) -> dg.PathMetadataValue:
    """Return a file or folder as commands take it: relative to the working folder where it lies below it, which leaves
    the page's width to the values.
    """
    return dg.MetadataValue.path(str(place).removeprefix(f"{Path.cwd()}/"))


def _with_unit(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {each}" for key, each in value.items())
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if name.endswith("bytes"):
        return bytes_text(value)
    if "flops" in name:
        return _scaled(value, {18: "EFLOP", 15: "PFLOP", 12: "TFLOP", 9: "GFLOP", 6: "MFLOP", 0: "FLOP"})
    if name in ("parameters", "tokens") or name.endswith(("_parameters", "_tokens")):
        return _scaled(value, {12: "T", 9: "B", 6: "M", 0: ""})
    return value


def _scaled(value: float, units: Mapping[int, str]) -> str:
    power = next((power for power in units if abs(value) >= 10**power), min(units))
    number = value / 10**power
    return f"{number:,.4g} {units[power]}".rstrip() if number < 10_000 else f"{number:.3g} {units[power]}".rstrip()


def _cell(value: Any) -> str | int | float | bool | None:
    if isinstance(value, float):
        return rounded(value)
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def rounded(value: float, digits: int = 4) -> float:
    """Return a number with `digits` significant digits; whole parts, zero and non-finite numbers as they are."""
    if abs(value) >= 10**digits:
        return float(round(value)) if math.isfinite(value) else value
    return float(f"{value:.{digits}g}")
