"""Pictures and tables as metadata: what is drawn is there, and stays where it was drawn."""

import base64
import io
import re

import dagster as dg
import pytest

from assets.support import plots

image = pytest.importorskip("matplotlib.image")
BLUE, ORANGE, RED = (0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E), (0xC4, 0x4E, 0x52)
BARS = (0x4C, 0x72, 0xB0)


def pixels(markdown):
    """The picture in Markdown as an array of red, green and blue."""
    title, encoded = re.fullmatch(r"!\[(.*)\]\(data:image/png;base64,(.*)\)", markdown.value).groups()
    return title, image.imread(io.BytesIO(base64.b64decode(encoded)))[..., :3] * 255


def places(picture, colour):
    """Rows and columns of the pixels that have a colour."""
    return (abs(picture - colour).max(axis=-1) < 3).nonzero()


def test_curves_are_drawn_in_their_direction_and_colours():
    title, both = pixels(plots.lines("Loss", {"up": ([0, 1], [0, 1]), "down": ([0, 1], [1, 0])}, x="step", y="nats"))
    assert title == "Loss"
    rows, columns = places(both, BLUE)
    on_the_left, on_the_right = rows[columns < columns.min() + 40], rows[columns > columns.max() - 40]
    assert on_the_left.mean() > on_the_right.mean()  # rows count from the top
    assert len(places(both, ORANGE)[0]) > 100
    _, one = pixels(plots.lines("Loss", {"up": ([0, 1], [0, 1])}, x="step", y="nats"))
    assert len(places(one, ORANGE)[0]) == 0


def test_panels_give_a_name_one_colour():
    panels = {"steps": {"a": ([0, 1], [0, 0]), "b": ([0, 1], [1, 1])}, "tokens": {"b": ([0, 1], [0, 1])}}
    _, picture = pixels(plots.side_by_side("x", panels, y="loss"))
    right = picture[:, picture.shape[1] // 2 + 40 : -120]
    assert len(places(right, ORANGE)[0]) > 50
    assert len(places(right, BLUE)[0]) == 0


@pytest.mark.parametrize(("threshold", "is_drawn"), [(0.5, True), (None, False)])
def test_a_histogram_is_as_high_as_its_counts(threshold, is_drawn):
    _, picture = pixels(plots.histogram("x", [0.1] * 30 + [0.9] * 10, x="score", threshold=threshold))
    rows, columns = places(picture, BARS)
    middle = (columns.min() + columns.max()) / 2
    heights = [rows.max() - rows[side].min() for side in (columns < middle, columns > middle)]
    assert heights[0] == pytest.approx(3 * heights[1], rel=0.05)
    assert (len(places(picture, RED)[0]) > 0) is is_drawn


@pytest.mark.parametrize("drawing", [plots.bars, plots.shares])
def test_bars_hold_their_values(drawing):
    options = {"x": "pages"} if drawing is plots.bars else {}
    shown = drawing("Title", {"one": 0.25, "two": 1}, **options)
    svg = base64.b64decode(
        re.fullmatch(r"!\[Title\]\(data:image/svg\+xml;base64,(.*)\)", shown.value).group(1)
    ).decode()
    one, two = (float(re.search(rf'width="([\d.]+)"[^>]*><title>{name}: ', svg).group(1)) for name in ("one", "two"))
    assert two == pytest.approx(4 * one, rel=0.01)


def test_the_same_plot_has_the_same_bytes():
    first, again = (plots.lines("x", {"a": ([0, 1], [0, 1])}, x="", y="") for _ in range(2))
    assert first.value == again.value


def test_a_table_types_its_columns_and_shows_other_values_as_text():
    rows = [
        {"name": "a", "count": 1, "share": 0.5, "kept": True, "list": [1, 2]},
        {"name": None, "count": 2, "share": 1.0, "kept": False, "list": []},
    ]
    table = plots.table(rows)
    assert {column.name: column.type for column in table.schema.columns} == {
        "name": "string", "count": "int", "share": "float", "kept": "bool", "list": "string"
    }  # fmt: skip
    assert table.records[0].data == {"name": "a", "count": 1, "share": 0.5, "kept": True, "list": "[1, 2]"}
    assert table.records[1].data["name"] is None
    assert plots.table([]) == dg.MetadataValue.text("no rows")


def test_a_wide_table_is_markdown_that_wraps_and_shows_texts_as_they_are():
    rows = [
        {"prompt": "2 | 3 *times*\nmore <b>" + " and more" * 9, "verified": True, "count": 12_345, "share": 1 / 3},
        {"prompt": "", "verified": False, "count": 0, "share": None},
    ]
    table = plots.table(rows)
    assert isinstance(table, dg.MarkdownMetadataValue)
    head, rule, first, second = table.value.splitlines()
    assert (head, rule) == ("| prompt | verified | count | share |", "| --- | --- | --: | --: |")
    assert first.startswith("| 2 \\| 3 \\*times\\* ⏎ more &lt;b&gt; and more") and first.endswith(
        "| yes | 12,345 | 0.3333 |"
    )
    assert second == "|  | no | 0 | – |"


def test_a_table_as_wide_as_its_column_stays_one():
    assert isinstance(plots.table([{"a": "x" * 61}]), dg.TableMetadataValue)
    assert isinstance(plots.table([{"a": "x" * 62}]), dg.MarkdownMetadataValue)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.123456, 0.1235), (12_345.6, 12_346.0), (0.0, 0.0), (-0.00012345678, -0.0001235)]
)
def test_numbers_are_rounded_without_losing_whole_parts(value, shown):
    assert plots.rounded(value) == shown
    assert plots.rounded(float("inf")) == float("inf")
