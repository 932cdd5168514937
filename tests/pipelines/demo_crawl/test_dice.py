"""Seeded choices: the same on every platform, even, and apart from each other."""

from collections import Counter

import pytest

from pipelines.demo_crawl.dice import Dice, derived_uuid


def test_the_sequence_is_written_down():
    """Another version of Python, or another platform, has to draw the same."""
    dice = Dice(0, "page", 17)
    assert [dice.between(1, 100) for _ in range(8)] == [31, 51, 71, 88, 28, 6, 95, 62]
    assert str(derived_uuid(0, "page", 17)) == "81d37d2c-92fd-46f6-b898-29dfc291034d"


def test_other_parts_are_another_stream():
    streams = [Dice(*parts).sample(range(10**6), 5) for parts in ((0, "a", 1), (0, "a", 2), (1, "a", 1), (0, "b", 1))]
    assert len({tuple(stream) for stream in streams}) == 4


@pytest.mark.parametrize(
    "draw",
    [
        lambda dice: dice.between(0, 3),
        lambda dice: dice.pick("0123"),
        lambda dice: dice.shuffled("0123")[0],
        lambda dice: dice.sample("0123", 2)[1],
    ],
)
def test_draws_are_even(draw):
    dice = Dice("even")
    counts = Counter(int(draw(dice)) for _ in range(8_000))
    assert sorted(counts) == [0, 1, 2, 3]
    assert all(abs(count - 2_000) < 200 for count in counts.values())  # five standard deviations


def test_nothing_is_drawn_twice_or_left_out():
    dice = Dice("all")
    assert sorted(dice.shuffled(range(50))) == list(range(50)) == sorted(dice.sample(range(50), 80))
    assert len(set(dice.sample(range(50), 20))) == 20
    assert sum(dice.chance(0.25) for _ in range(4_000)) == pytest.approx(1_000, abs=150)
