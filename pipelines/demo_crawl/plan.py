"""The plan of a crawl: the world of each page, the page it copies, and the damage of its record. The plan is made
before the first page is written.

A crawl of any size has the shares below to the page, and a page that copies another may come before it: every page
can be made from its number alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipelines.demo_crawl.configuration import DemoCrawlConfig
from pipelines.demo_crawl.dice import Dice

SHARES: Mapping[str, float] = MappingProxyType(
    {
        "lesson": 0.30,
        "article": 0.22,
        "story": 0.14,
        "how_to": 0.09,
        "forum": 0.05,
        "spam": 0.04,
        "toxic": 0.025,
        "adult": 0.025,
        "de": 0.015,
        "fr": 0.015,
        "es": 0.015,
        "it": 0.015,
        "mirror": 0.02,
        "near_duplicate": 0.03,
    }
)
"""World to its share of the pages; `mirror` and `near_duplicate` copy a page of one of `GOOD`."""

GOOD = ("lesson", "article", "story", "how_to")
COPIES = ("mirror", "near_duplicate")
FOREIGN = ("de", "fr", "es", "it")

DAMAGE_SHARES: Mapping[str, float] = MappingProxyType(
    {"bad_gzip": 0.001, "bad_digest": 0.001, "bad_length": 0.001, "wrong_charset": 0.008}
)
"""Damage to its share of the pages. Beside these, the last record of the last file is `truncated`. A wrong charset
costs no record."""

LOSING_DAMAGE = ("bad_gzip", "bad_digest", "bad_length", "truncated")
"""Damage that loses the record."""


@dataclass(frozen=True)
class Plan:
    """World of each page; page to the page it copies; page to its damage; the pages that are copied."""

    worlds: tuple[str, ...]
    originals: Mapping[int, int]
    damage: Mapping[int, str]
    copied: frozenset[int]

    def kind_of(self, index: int) -> str:
        """Return the world a page's text comes from: its own, or that of the page it copies."""
        return self.worlds[self.originals.get(index, index)]


def make_plan(config: DemoCrawlConfig) -> Plan:
    """Return the plan of a crawl."""
    dice = Dice(config.seed, "plan")
    worlds = _ending_in_no_copy(dice.shuffled(_apportioned(config.num_pages)))
    good = [index for index, world in enumerate(worlds[:-1]) if world in GOOD]
    originals = {index: dice.pick(good) for index, world in enumerate(worlds) if world in COPIES}
    copied = frozenset(originals.values())
    return Plan(worlds, originals, _damage(worlds, copied | originals.keys(), dice), copied)


def page_range(config: DemoCrawlConfig, file_number: int) -> range:
    """Return the pages of one WARC file: a contiguous part, so that copies and originals lie in different files."""
    first, last = (config.num_pages * number // config.num_warc_files for number in (file_number, file_number + 1))
    return range(first, last)


def _ending_in_no_copy(worlds: list[str]) -> tuple[str, ...]:
    """Return the worlds with a page at the end that copies no other, so that its record may be cut."""
    last = next((index for index in range(len(worlds) - 1, -1, -1) if worlds[index] not in COPIES), len(worlds) - 1)
    worlds[last], worlds[-1] = worlds[-1], worlds[last]
    return tuple(worlds)


def _apportioned(num_pages: int) -> list[str]:
    """Return worlds in their shares by largest remainder."""
    exact = {world: share * num_pages for world, share in SHARES.items()}
    counts = {world: int(number) for world, number in exact.items()}
    by_remainder = sorted(exact, key=lambda world: counts[world] - exact[world])
    for world in by_remainder[: num_pages - sum(counts.values())]:
        counts[world] += 1
    return [world for world, count in counts.items() for _ in range(count)]


def _damage(worlds: tuple[str, ...], copies: frozenset[int], dice: Dice) -> dict[int, str]:
    """Damage by page, at least one of each kind from a hundred pages on; pages of duplicate clusters are spared."""
    num_pages = len(worlds)
    if num_pages < 100:
        return {}
    last = num_pages - 1
    damage = {last: "truncated"}
    free = dice.shuffled([index for index in range(last) if index not in copies])
    non_ascii = [index for index in free if worlds[index] in (*FOREIGN, "story")]
    for kind, share in DAMAGE_SHARES.items():
        pool = non_ascii if kind == "wrong_charset" else free
        for _ in range(max(1, round(share * num_pages))):
            index = pool.pop()
            while index in damage:
                index = pool.pop()
            damage[index] = kind
    return damage
