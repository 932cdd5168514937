"""A page from its number alone: body, address, and its entry in the ground truth."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from pipelines.demo_crawl.body import Body
from pipelines.demo_crawl.configuration import DemoCrawlConfig
from pipelines.demo_crawl.dice import Dice, derived_uuid
from pipelines.demo_crawl.duplicates import near_duplicate
from pipelines.demo_crawl.entities import World, world_of
from pipelines.demo_crawl.personal_data import with_personal_data
from pipelines.demo_crawl.plan import FOREIGN, Plan
from pipelines.demo_crawl.site import Site, site_for
from pipelines.demo_crawl.worlds.articles import article
from pipelines.demo_crawl.worlds.foreign import foreign
from pipelines.demo_crawl.worlds.forum import forum
from pipelines.demo_crawl.worlds.harmful import adult, toxic
from pipelines.demo_crawl.worlds.how_to import how_to
from pipelines.demo_crawl.worlds.lessons import lesson
from pipelines.demo_crawl.worlds.spam import spam
from pipelines.demo_crawl.worlds.stories import story

WRITERS: Mapping[str, Callable[[World, Dice], Body]] = MappingProxyType(
    {
        "lesson": lesson,
        "article": article,
        "story": story,
        "how_to": how_to,
        "forum": forum,
        "spam": spam,
        "toxic": toxic,
        "adult": adult,
        **{language: partial(foreign, language) for language in FOREIGN},
    }
)
"""World to the function that writes a body of it."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the crawl. `cluster` names the duplicate cluster by its original; `jaccard` is the similarity to
    that original."""

    index: int
    doc_id: str
    url: str
    site: Site
    world: str
    body: Body
    damage: str
    cluster: str | None
    duplicate_kind: str | None
    jaccard: float | None


def make_page(index: int, config: DemoCrawlConfig, plan: Plan) -> Page:
    """Return the page of a number."""
    source = plan.originals.get(index, index)
    body, similarity = make_body(source, config, plan), 1.0
    kind = {"mirror": "exact", "near_duplicate": "near"}.get(plan.worlds[index])
    if kind == "near":
        body, similarity = near_duplicate(body, Dice(config.seed, "near", index))
    in_cluster = kind is not None or index in plan.copied
    world = plan.kind_of(index)
    site = site_for(world, Dice(config.seed, "site", index), mirror=kind is not None)
    return Page(
        index=index,
        doc_id=str(derived_uuid(config.seed, "response", index)),
        url=f"https://{site.host}/{site.section}/{_slug(body.title)}-{index}",
        site=site,
        world=world,
        body=body,
        damage=plan.damage.get(index, "none"),
        cluster=f"cluster-{source:06d}" if in_cluster else None,
        duplicate_kind=kind,
        jaccard=similarity if in_cluster else None,
    )


def make_body(index: int, config: DemoCrawlConfig, plan: Plan) -> Body:
    """Return the body of a page that copies no other."""
    world_name, world = plan.worlds[index], world_of(config.seed)
    dice = Dice(config.seed, "page", index)
    if world_name == "story":
        body = story(world, dice, typographic=plan.damage.get(index) == "wrong_charset" or dice.chance(0.12))
    else:
        body = WRITERS[world_name](world, dice)
    if body.language == "en" and dice.chance(config.pii_share):
        body = with_personal_data(body, world, dice)
    return body


def _slug(title: str) -> str:
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))[:60] or "page"
