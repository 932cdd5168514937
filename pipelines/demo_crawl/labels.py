"""Training data for the classifiers: texts of the same worlds as the pages, from other seeds than the pages, so none
occurs in the crawl."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipelines.demo_crawl.configuration import DemoCrawlConfig
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.entities import world_of
from pipelines.demo_crawl.pages import WRITERS
from pipelines.demo_crawl.plan import GOOD

_HARMFUL_MIX = ("toxic",) * 3 + ("adult",) * 3 + ("lesson", "article", "story", "how_to", "forum", "spam")


def harmful_labels(config: DemoCrawlConfig) -> Iterator[dict[str, Any]]:
    """Yield labelled texts: a quarter toxic, a quarter adult, half neither."""
    for number in range(config.num_harmful_labels):
        dice = Dice(config.seed, "harmful label", number)
        body = WRITERS[dice.pick(_HARMFUL_MIX)](world_of(config.seed), dice)
        yield {"text": body.text, "toxic": "toxic" in body.harmful, "adult": "adult" in body.harmful}


def quality_labels(config: DemoCrawlConfig) -> Iterator[dict[str, Any]]:
    """Yield labels, half of good prose, half of junk: spam and notices, with some insults and adult advertisements."""
    for number in range(config.num_quality_labels):
        dice = Dice(config.seed, "quality label", number)
        good = dice.chance(0.5)
        kind = dice.pick(GOOD) if good else dice.pick(("spam",) * 6 + ("toxic", "adult"))
        yield {"text": WRITERS[kind](world_of(config.seed), dice).text, "high_quality": good}
