"""Assets of the crawl: the built-in crawl, and groups of WARC files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from assets.automation.demo_run import register_demo_groups
from assets.automation.partitions import PER_GROUP
from assets.graph.group_results import each_group, report_groups
from assets.support import plots
from assets.support.failures import explained
from assets.support.launchpad import config_of, given, schema_of
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, in_log, result
from lm.configuration import from_mapping
from lm.errors import LoamError
from lm.storage import Artifact
from pipelines import paths
from pipelines.curation.settings import laid_over
from pipelines.demo_crawl.configuration import DemoCrawlConfig
from pipelines.sources.group_source import GroupSource, store_source, stored_source, with_files
from pipelines.sources.warc_file import WarcFile
from pipelines.sources.warc_groups import LISTING, WarcSource, publish_files, read_files, resolve_group


@dg.asset(group_name="sources", config_schema=schema_of("demo_crawl", DemoCrawlConfig))
@explained
def demo_crawl(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The built-in crawl: valid WARC files of a synthetic web, with the ground truth of every page."""
    watch = Stopwatch()
    config = config_of(context, DemoCrawlConfig)
    from pipelines.demo_crawl.write import publish_demo_crawl  # its grammars take a while to load

    register_demo_groups(context.instance)
    artifact = publish_demo_crawl(config, home.target("demo_crawl"), in_log(context))
    pages = plots.bars("Pages of the built-in crawl", artifact.summary["num_pages_by_world"], x="pages")
    return result(artifact, watch, {"worlds": pages})


@dg.asset(group_name="sources", deps=[demo_crawl], config_schema=schema_of("warc_files", GroupSource), **PER_GROUP)
@explained
def warc_files(context: dg.AssetExecutionContext, home: LoamHome) -> Iterator[Any]:
    """A group of WARC files: of the built-in crawl, of a local folder, or downloaded from Common Crawl."""
    watch = Stopwatch()
    failed: dict[str, LoamError] = {}
    artifacts = each_group(context.partition_keys, lambda group: _list_group(context, home, group), failed)
    yield from report_groups(
        context, home, artifacts, failed, watch, plots_of=lambda _, artifact: {"files": _files_table(artifact, home)}
    )


def read_listing(listing: Artifact, home: LoamHome) -> list[WarcFile]:
    """Return the files of a published group; remote files may not be on this machine yet."""
    return read_files(listing.file(LISTING), home.downloads)


def content_digests(files: list[WarcFile]) -> dict[str, str]:
    """Return the sha256 of each file by name, which is independent of the file's location."""
    return {file.name: file.sha256 for file in files}


def _list_group(context: dg.AssetExecutionContext, home: LoamHome, partition: str) -> Artifact:
    """Find or fetch the files of one group, store its source, and publish the list.

    The list contains locations, so later steps depend on the files' content and not on the list.
    """
    group = group_source(home, partition, given(context))
    group = with_files(home.root, partition, group)
    known = {partition: group.files} if group.files else None
    source = warc_source(group, home, paths.parse_partition(partition)[0])
    files = resolve_group(source, partition, home.downloads, in_log(context), known=known)
    if group != stored_source(home.root, partition):
        store_source(home.root, partition, group)
    return publish_files(files, home.target("warc_files", partition), partition, group.files_per_group)


def group_source(home: LoamHome, partition: str, launched: Mapping[str, Any]) -> GroupSource:
    """Return the source of a group: its stored one, with the launch's values over it. A launch with a folder replaces
    the stored source.

    Raises:
        ConfigurationError: the source does not fit the group's name; nothing is asked of the network then.
    """
    stored = stored_source(home.root, partition)
    source = from_mapping(GroupSource, launched)
    if stored is not None and not source.folder:
        source = laid_over(stored, launched)
    source.check_for(partition)
    return source


def warc_source(group: GroupSource, home: LoamHome, crawl: str) -> WarcSource:
    """Return where the files of a group of `crawl` lie: a folder, the built-in crawl, or Common Crawl."""
    common: dict[str, Any] = {"crawl": crawl, "files_per_group": group.files_per_group}
    if group.folder:
        return WarcSource(kind="folder", folder=group.folder, **common)
    if crawl == paths.DEMO_CRAWL:
        return WarcSource(kind="demo", folder=str(home.artifact("demo_crawl").folder / "warc"), **common)
    return WarcSource(kind="common_crawl", base_url=group.base_url, file_kind=group.file_kind, **common)


def _files_table(listing: Artifact, home: LoamHome) -> dg.MetadataValue[Any]:
    rows: list[Mapping[str, Any]] = [
        {"name": file.name, "size": plots.bytes_text(file.size_bytes), "path": file.location}
        for file in read_listing(listing, home)
    ]
    return plots.table(rows)
