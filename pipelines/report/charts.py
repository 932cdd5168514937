"""SVG charts: bars, a funnel, a histogram. The SVG is written directly, so pages need no library and equal values give
equal bytes on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

KEPT, REMOVED, LOST, INK, FAINT = "#3b6fb6", "#c8553d", "#8d99ae", "#1f2933", "#d5dbe3"

_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_WIDTH, _ROW, _TOP, _CHARACTER = 960, 24, 40, 6.6
_FEW, _NARROW = 2, 520  # Dagster shows a small picture within its table, where there is less room


def funnel(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the funnel: one bar a stage with kept, removed and lost documents, all on one scale."""
    label, figures = _label_width([row["stage"] for row in rows]), 190
    scale = (_WIDTH - label - figures) / max(1, *(row["num_in"] for row in rows))
    drawn = []
    for number, row in enumerate(rows):
        y, x = _TOP + number * _ROW, float(label)
        drawn.append(_text(label - 8, y + 13, row["stage"], anchor="end"))
        for name, color in (("num_kept", KEPT), ("num_removed", REMOVED), ("num_lost", LOST)):
            width = row[name] * scale
            drawn.append(_rect(x, y, width, 16, color, f"{row['stage']}: {row[name]:,} {name.removeprefix('num_')}"))
            x += width
        share = f"{row['num_kept']:,} of {row['num_in']:,} ({row['kept_share']:.1%})"
        drawn.append(_text(_WIDTH - 4, y + 13, share, anchor="end"))
    legend = [(KEPT, "kept"), (REMOVED, "removed"), (LOST, "lost")]
    return _picture(title, _TOP + len(rows) * _ROW + 6, [*drawn, *_legend(legend)])


def bars(title: str, values: Mapping[str, float], unit: str = "", *, percent: bool = False, color: str = KEPT) -> str:
    """Return horizontal bars, the first on top, each with its value."""
    label, figures, wide = _label_width(list(values)), 76, _WIDTH if len(values) > _FEW else _NARROW
    scale = (wide - label - figures) / (max(values.values(), default=0) or 1)
    drawn = []
    for number, (name, value) in enumerate(values.items()):
        y = _TOP + number * _ROW
        said = f"{value:.2%}" if percent else f"{value:,.6g}"
        width = max(0.0, value * scale)
        drawn.append(_text(label - 8, y + 13, name, anchor="end"))
        drawn.append(_rect(label, y, max(width, 1), 16, color, f"{name}: {said} {unit}".rstrip()))
        drawn.append(_text(label + width + 6, y + 13, said))
    if unit:
        drawn.append(_text(wide - 4, 20, unit, anchor="end", faint=True))
    return _picture(title, _TOP + len(values) * _ROW + 6, drawn, wide)


def histogram(
    title: str,
    kept: Sequence[int],
    removed: Sequence[int] = (),
    *,
    low: float = 0.0,
    high: float = 1.0,
    threshold: float | None = None,
) -> str:
    """Return a histogram with bins of equal width from `low` to `high` and a logarithmic scale: kept above the axis,
    removed below it (where there are any), the threshold as a line.
    """
    left, right = 54, 14
    up, down = (110, 70 if any(removed) else 0) if any(kept) or not any(removed) else (14, 110)
    axis = _TOP + up
    most = math.log10(1 + max([*kept, *removed, 1]))
    step = (_WIDTH - left - right) / max(1, len(kept))
    drawn = []
    for exponent in range(1 + int(most)):
        for side, height in ((-1, up), (1, down)):
            y = axis + side * math.log10(1 + 10**exponent) / most * height
            if height and any(kept if side < 0 else removed):
                drawn.append(_line(left, y, _WIDTH - right, y, FAINT))
                drawn.append(_text(left - 6, y + 4, f"{10**exponent:,}", anchor="end", faint=True))
    for counts, color, height, outcome in ((kept, KEPT, up, "kept"), (removed, REMOVED, down, "removed")):
        for place, count in enumerate(counts):
            if count:
                tall = math.log10(1 + count) / most * height
                where = f"{_at(place, len(counts), low, high)} to {_at(place + 1, len(counts), low, high)}"
                y = axis - tall if outcome == "kept" else axis
                hint = f"{where}: {count:,} {outcome}"
                drawn.append(_rect(left + place * step + 0.5, y, step - 1, tall, color, hint))
    drawn.append(_line(left, axis, _WIDTH - right, axis, INK))
    bottom = axis + down
    for tick in range(6):
        x = left + tick * (_WIDTH - left - right) / 5
        drawn.append(_text(x, bottom + 16, _at(tick, 5, low, high), anchor="middle", faint=True))
    if threshold is not None and high > low:
        x = left + (min(max(threshold, low), high) - low) / (high - low) * (_WIDTH - left - right)
        drawn.append(_line(x, _TOP - 6, x, bottom, INK, dashed=True))
        anchor = "end" if x > _WIDTH / 2 else "start"
        drawn.append(_text(x + (-5 if anchor == "end" else 5), _TOP + 2, f"threshold {threshold:.4g}", anchor=anchor))
    legend = [(KEPT, "kept"), (REMOVED, "removed")] if any(removed) else []
    return _picture(title, bottom + 26, [*drawn, *_legend(legend)])


def _at(place: int, of: int, low: float, high: float) -> str:
    return f"{low + (high - low) * place / of:,.4g}"


def _label_width(labels: Sequence[str]) -> int:
    return 20 + int(min(34, max(map(len, labels), default=0)) * _CHARACTER)


def _legend(entries: Sequence[tuple[str, str]]) -> list[str]:
    drawn, x = [], float(_WIDTH - 4)
    for color, name in reversed(entries):
        x -= len(name) * _CHARACTER + 4
        drawn.append(_text(x, 20, name, faint=True))
        x -= 15
        drawn.append(_rect(x, 11, 10, 10, color))
        x -= 10
    return drawn


def _picture(title: str, height: float, drawn: Sequence[str], width: int = _WIDTH) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_number(height)}" width="{width}" '
        f'height="{_number(height)}" role="img" font-family="{_FONT}" font-size="12">'
        f"<title>{escape(title)}</title>"
        f'<rect width="100%" height="100%" rx="6" fill="#ffffff"/>'
        f'<text x="10" y="21" font-size="14" font-weight="600" fill="{INK}">{escape(title)}</text>'
        f"{''.join(drawn)}</svg>"
    )


def _rect(x: float, y: float, width: float, height: float, color: str, hint: str = "") -> str:
    if width <= 0 or height <= 0:
        return ""
    place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
    inside = f"<title>{escape(hint)}</title>" if hint else ""
    return f'<rect {place} rx="1.5" fill="{color}">{inside}</rect>'


def _line(x1: float, y1: float, x2: float, y2: float, color: str, *, dashed: bool = False) -> str:
    ends = " ".join(f'{name}="{_number(at)}"' for name, at in (("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2)))
    return f'<line {ends} stroke="{color}"{" stroke-dasharray=" + chr(34) + "4 3" + chr(34) if dashed else ""}/>'


def _text(x: float, y: float, said: str, *, anchor: str = "start", faint: bool = False) -> str:
    shown = said if len(said) <= 34 or anchor != "end" else said[:33] + "…"
    color = "#66737f" if faint else INK
    return f'<text x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}" fill="{color}">{escape(shown)}</text>'


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
