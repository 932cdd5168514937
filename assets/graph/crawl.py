"""Assets of the crawl: the built-in crawl, and groups of WARC files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import dagster as dg

from assets.automation.partitions import PER_GROUP
from assets.automation.presets import DEMO_CRAWL
from assets.support import plots
from assets.support.failures import explained
from assets.support.launchpad import config_of, schema_of
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch, in_log, partition_results, result
from lm.configuration import Doc, Range, settle
from lm.storage import Artifact
from pipelines import paths
from pipelines.common_crawl import DATA_URL
from pipelines.demo_crawl.configuration import DemoCrawlConfig
from pipelines.sources.warc_file import WarcFile
from pipelines.sources.warc_groups import LISTING, WarcSource, publish_files, read_files, resolve_group


@dataclass(frozen=True, kw_only=True)
class CrawlSource:
    """The source of a group's WARC files."""

    folder: Annotated[
        str | None,
        Doc(
            "Folder of WARC files: local, in a store such as s3://bucket/prefix, or https://… with `files`. "
            "Default: the built-in crawl for partitions demo/…, Common Crawl for others."
        ),
    ] = None
    files: Annotated[
        tuple[str, ...], Doc("Names of this group's files within the folder; empty cuts groups from the sorted names.")
    ] = ()
    files_per_group: Annotated[
        int, Doc("WARC files in a group; a Common Crawl file has about a gigabyte."), Range(1)
    ] = 2
    file_kind: Annotated[
        Literal["warc", "wet"], Doc("Common Crawl's pages as fetched (WARC), or its extracted text (WET).")
    ] = "warc"
    base_url: Annotated[str, Doc("Base address of Common Crawl's files.")] = DATA_URL

    def __post_init__(self) -> None:
        settle(self, "warc_files")


@dg.asset(group_name="sources", config_schema=schema_of(DemoCrawlConfig))
@explained
def demo_crawl(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """The built-in crawl: valid WARC files of a synthetic web, with the ground truth of every page."""
    watch = Stopwatch()
    config = config_of(context, DemoCrawlConfig)
    from pipelines.demo_crawl.write import publish_demo_crawl  # its grammars take a while to load

    artifact = publish_demo_crawl(config, home.target("demo_crawl"), in_log(context))
    pages = plots.bars("Pages of the built-in crawl", artifact.summary["num_pages_by_world"], x="pages")
    return result(artifact, watch, {"worlds": pages})


@dg.asset(group_name="sources", deps=[demo_crawl], config_schema=schema_of(CrawlSource), **PER_GROUP)
@explained
def warc_files(context: dg.AssetExecutionContext, home: LoamHome) -> dg.MaterializeResult[Any]:
    """A group of WARC files: of the built-in crawl, of a local folder, or downloaded from Common Crawl."""
    watch = Stopwatch()
    config = config_of(context, CrawlSource)
    artifacts = {key: _list_group(context, home, config, key) for key in context.partition_keys}
    return partition_results(context, artifacts, watch, lambda _, artifact: {"files": _files_table(artifact, home)})


def read_listing(listing: Artifact, home: LoamHome) -> list[WarcFile]:
    """Return the files of a published group; remote files may not be on this machine yet."""
    return read_files(listing.file(LISTING), home.downloads)


def content_digests(files: list[WarcFile]) -> dict[str, str]:
    """Return the sha256 of each file by name, which is independent of the file's location."""
    return {file.name: file.sha256 for file in files}


def _list_group(context: dg.AssetExecutionContext, home: LoamHome, config: CrawlSource, partition: str) -> Artifact:
    """Find or fetch the files of one group and publish the list.

    The list contains locations, so later steps depend on the files' content and not on the list.
    """
    source = source_of(config, home, paths.parse_partition(partition)[0])
    known = {partition: config.files} if config.files else None
    files = resolve_group(source, partition, home.downloads, in_log(context), known=known)
    return publish_files(files, home.target("warc_files", partition), partition, config.files_per_group)


def source_of(config: CrawlSource, home: LoamHome, crawl: str) -> WarcSource:
    """Return the source that a crawl's name and the configuration select."""
    common: dict[str, Any] = {"crawl": crawl, "files_per_group": config.files_per_group}
    if config.folder:
        return WarcSource(kind="folder", folder=config.folder, **common)
    if crawl == DEMO_CRAWL:
        return WarcSource(kind="demo", folder=str(home.artifact("demo_crawl").folder / "warc"), **common)
    return WarcSource(kind="common_crawl", base_url=config.base_url, file_kind=config.file_kind, **common)


def _files_table(listing: Artifact, home: LoamHome) -> dg.MetadataValue[Any]:
    rows: list[Mapping[str, Any]] = [
        {"name": file.name, "size_bytes": file.size_bytes, "path": file.location}
        for file in read_listing(listing, home)
    ]
    return plots.table(rows)
