"""Charts: well-formed SVG with shapes in proportion to their numbers."""

import xml.etree.ElementTree as ET

import pytest

from pipelines.report import charts

SVG = "{http://www.w3.org/2000/svg}"


def shapes(drawn, color):
    return [each for each in ET.fromstring(drawn).iter(f"{SVG}rect") if each.get("fill") == color]


def hints(drawn, color):
    """The numbers behind shapes: each carries them as its title."""
    return [each.find(f"{SVG}title").text for each in shapes(drawn, color) if each.find(f"{SVG}title") is not None]


def test_bars_are_as_long_as_their_values():
    drawn = charts.bars("What <left> & why", {"a": 10, "b & c": 5, "none": 0}, "documents")
    wide = [float(each.get("width")) for each in shapes(drawn, charts.KEPT)]
    assert wide[0] == pytest.approx(2 * wide[1], abs=0.2) and wide[2] == 1
    assert hints(drawn, charts.KEPT) == ["a: 10 documents", "b & c: 5 documents", "none: 0 documents"]
    assert ET.fromstring(drawn).find(f"{SVG}title").text == "What <left> & why"


def test_a_funnel_shows_kept_removed_and_lost():
    rows = [
        {"stage": "extract", "num_in": 100, "num_kept": 90, "num_removed": 6, "num_lost": 4, "kept_share": 0.9},
        {"stage": "language", "num_in": 90, "num_kept": 45, "num_removed": 45, "num_lost": 0, "kept_share": 0.5},
    ]
    drawn = charts.funnel("Documents", rows)
    assert hints(drawn, charts.KEPT) == ["extract: 90 kept", "language: 45 kept"]
    assert hints(drawn, charts.REMOVED) == ["extract: 6 removed", "language: 45 removed"]
    assert hints(drawn, charts.LOST) == ["extract: 4 lost"]
    kept = [each for each in shapes(drawn, charts.KEPT) if each.find(f"{SVG}title") is not None]
    assert float(kept[0].get("width")) == pytest.approx(2 * float(kept[1].get("width")), abs=0.2)


def test_a_histogram_has_kept_above_removed_below_and_the_threshold_between():
    drawn = charts.histogram("Scores", [0, 0, 5, 1000], [7, 0, 0, 0], threshold=0.5)
    assert hints(drawn, charts.KEPT) == ["0.5 to 0.75: 5 kept", "0.75 to 1: 1,000 kept"]
    assert hints(drawn, charts.REMOVED) == ["0 to 0.25: 7 removed"]
    (dashed,) = [each for each in ET.fromstring(drawn).iter(f"{SVG}line") if each.get("stroke-dasharray")]
    bars = [each for each in shapes(drawn, charts.KEPT) if each.find(f"{SVG}title") is not None]
    assert float(dashed.get("x1")) == pytest.approx(float(bars[0].get("x")), abs=1)
    assert float(bars[1].get("height")) > float(bars[0].get("height"))


def test_a_histogram_of_removed_ones_alone_has_one_side():
    both, alone = charts.histogram("x", [1, 2], [3, 4]), charts.histogram("x", [0, 0], [3, 4])
    heights = [float(ET.fromstring(drawn).get("height")) for drawn in (both, alone)]
    assert heights[1] < heights[0] and hints(alone, charts.REMOVED) == ["0 to 0.5: 3 removed", "0.5 to 1: 4 removed"]


@pytest.mark.parametrize("drawn", [charts.bars("x", {}), charts.histogram("x", [0, 0]), charts.histogram("x", [])])
def test_nothing_to_draw_is_still_a_picture(drawn):
    ET.fromstring(drawn)
