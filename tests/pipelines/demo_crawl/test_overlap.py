"""The Jaccard index of two texts, by hand."""

import pytest

from pipelines.demo_crawl.overlap import jaccard, shingles


@pytest.mark.parametrize(
    ("first", "second", "index"),
    [
        ("one two three four five six", "one two three four five six", 1),
        ("One, two: THREE four_five", "one two three four five", 1),
        ("one two three four five six", "one two three four five seven", 1 / 3),
        ("one two three four five", "a b c d e", 0),
        ("too short", "too short", 0),
    ],
)
def test_by_hand(first, second, index):
    assert jaccard(shingles(first), shingles(second)) == pytest.approx(index)
