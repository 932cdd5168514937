"""Charts of a few hundred bytes: a curve and a funnel, small enough that Dagster shows them without a click.

Dagster's page shows Markdown of fewer than 1,000 characters inline. Base64 adds a third, so an SVG may have at most
`MOST_BYTES` bytes; `fits` says whether it does. Longer input is drawn with fewer points.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pipelines.report.charts import KEPT, LOST, REMOVED

MOST_BYTES = 700
"""Bytes of an SVG whose Markdown has fewer than 1,000 characters."""

_NUM_POINTS, _FEWEST_POINTS = 44, 8
_WIDTH, _HEIGHT, _ROW = 420, 92, 14


def curve(xs: Sequence[float], ys: Sequence[float], unit: str = "") -> str:
    """Return a line over `xs` as an SVG, with its first and its last value; non-finite values are left out.

    Shapes: `xs` and `ys` have one length. An empty curve is a picture without a line.
    """
    points = [(x, y) for x, y in zip(xs, ys, strict=True) if math.isfinite(x) and math.isfinite(y)]
    for number in range(_NUM_POINTS, _FEWEST_POINTS, -2):
        if fits(drawn := _curve(_thinned(points, number), unit)):
            return drawn
    return _curve(_thinned(points, _FEWEST_POINTS), "")


def funnel(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one bar a step as an SVG: documents kept, removed and lost, on one scale, with the number kept.

    Rows: `stage, num_in, num_kept, num_removed, num_lost`; of more rows than fit, the last are drawn.
    """
    shown = list(rows)
    while len(shown) > 1 and not fits(_funnel(shown)):
        shown = shown[1:]
    return _funnel(shown)


def fits(svg: str) -> bool:
    """Return whether Dagster shows the picture inline."""
    return len(svg.encode()) <= MOST_BYTES


def _curve(points: Sequence[tuple[float, float]], unit: str) -> str:
    low, high = (min(y for _, y in points), max(y for _, y in points)) if points else (0.0, 1.0)
    left, right = (points[0][0], points[-1][0]) if points else (0.0, 1.0)
    drawn = " ".join(
        f"{_share(x, left, right) * (_WIDTH - 80):.0f},{8 + (1 - _share(y, low, high)) * (_HEIGHT - 24):.0f}"
        for x, y in points
    )
    first, last = (f"{points[0][1]:.3g}", f"{points[-1][1]:.3g}") if points else ("", "")
    end = 12 + (1 - _share(points[-1][1], low, high)) * (_HEIGHT - 24) if points else 0
    return _picture(
        _HEIGHT,
        f'<path d="M{drawn}" fill="none" stroke="{KEPT}" stroke-width="1.5"/>' if points else "",
        f'<text x="6" y="9">{first}</text><text x="{_WIDTH - 76}" y="{end:.0f}">{last} {escape(unit)}</text>',
        f'<text y="{_HEIGHT - 2}">{left:g}</text>'
        f'<text x="{_WIDTH - 80}" y="{_HEIGHT - 2}" text-anchor="end">{right:g}</text>',
    )


def _funnel(rows: Sequence[Mapping[str, Any]]) -> str:
    most = max((row["num_in"] for row in rows), default=0) or 1
    lanes = {"num_kept": (KEPT, ""), "num_removed": (REMOVED, ""), "num_lost": (LOST, "")}
    texts = []
    for number, row in enumerate(rows):
        y, x = number * _ROW + 4, 96.0
        texts.append(f'<text y="{y + 8}">{escape(row["stage"][:14])} {row["num_kept"]}</text>')
        for name, (color, path) in lanes.items():
            width = row[name] / most * (_WIDTH - 130) if row[name] else 0.0
            if width:
                lanes[name] = (color, f"{path}M{x + 34:.0f} {y + 5}h{max(1, width):.0f}")
            x += width
    paths = (f'<path d="{path}" stroke="{color}"/>' for color, path in lanes.values() if path)
    return _picture(len(rows) * _ROW + 6, f'<g stroke-width="9">{"".join(paths)}</g>', *texts)


def _picture(height: int, *drawn: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'style="background:#fff;font:10px sans-serif">{"".join(drawn)}</svg>'
    )


def _thinned(points: Sequence[tuple[float, float]], number: int) -> list[tuple[float, float]]:
    """Return `number` points: means over equal parts, and the first and the last point as they are."""
    if len(points) <= number:
        return list(points)
    edges = [round(i * len(points) / number) for i in range(number + 1)]
    parts = [points[a:b] for a, b in itertools.pairwise(edges)]
    means = [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]
    return [points[0], *means[1:-1], points[-1]]


def _share(value: float, low: float, high: float) -> float:
    span = high / 2 - low / 2  # halves, since the difference of two large numbers may overflow
    return (value / 2 - low / 2) / span if span > 0 else 0.5
