"""Small charts: they fit inline, and show the first and the last value."""

import math
import re
from xml.etree import ElementTree

from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.report import small_charts

FINITE = st.floats(min_value=-1e12, max_value=1e12)
NUMBERS = st.floats() | FINITE
COUNT = st.integers(min_value=0, max_value=10**10)


def row(stage, counts):
    kept, removed, lost = counts
    names = ("num_in", "num_kept", "num_removed", "num_lost")
    return {"stage": stage, **dict(zip(names, (kept + removed + lost, *counts), strict=True))}


@example([1.7976931348623157e308, -9.9792015476736e291], "")
@example([1.7976931348623157e308, -1.7976931348623157e308], "")
@example([5e-324, 0.0], "")
@given(st.lists(NUMBERS, max_size=300), st.text(max_size=12))
def test_any_curve_fits_and_is_well_formed(ys, unit):
    svg = small_charts.curve(
        range(len(ys)), ys, unit.encode("ascii", "ignore").decode().translate(dict.fromkeys(range(32)))
    )
    ElementTree.fromstring(svg)
    assert small_charts.fits(svg)
    assert "nan" not in svg and "inf" not in svg.replace("inf", "inf" if math.inf in ys else "")


@given(st.lists(st.tuples(st.sampled_from(["extract", "decontaminate", "quality<&>"]), st.tuples(COUNT, COUNT, COUNT))))
def test_any_funnel_fits_and_is_well_formed(stages):
    svg = small_charts.funnel([row(*each) for each in stages])
    ElementTree.fromstring(svg)
    assert small_charts.fits(svg) or len(stages) <= 1


def test_the_curve_ends_where_the_numbers_end():
    svg = small_charts.curve(range(1, 1001), [2 + 8 / step for step in range(1, 1001)], "nats")
    assert ">10</text>" in svg and ">2.01 nats</text>" in svg
    assert ">1</text>" in svg and ">1000</text>" in svg
    points = [tuple(map(float, point.split(","))) for point in re.search('d="M(.*?)"', svg)[1].split()]
    assert points[0][0] == 0 and points == sorted(points)
    assert points[0][1] < points[-1][1]  # down the page is down in value


def test_every_step_of_the_curation_fits():
    names = ("extract", "language", "heuristics", "repetition", "harmful", "quality", "pii", "dedup", "decontaminate")
    svg = small_charts.funnel([row(name, (2_000_000 - 7 * i, 120, 7)) for i, name in enumerate(names)])
    assert all(name in svg for name in names[3:])
