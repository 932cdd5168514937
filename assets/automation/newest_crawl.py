"""Dagster sensor: the newest crawl of Common Crawl, requested once a day. Off by default."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import TypeVar

import dagster as dg

from assets.automation.jobs import curate_crawl
from assets.automation.partitions import WARC_GROUPS
from lm.errors import LoamError, UnreachableError
from pipelines import common_crawl
from pipelines.paths import partition_key

NUM_GROUPS_VARIABLE = "LOAM_GROUPS_PER_CRAWL"
"""Number of groups of the newest crawl that are curated; a whole crawl has tens of thousands."""

INDEX_VARIABLE = "LOAM_CRAWL_INDEX"
"""Address of the list of crawls, in place of Common Crawl's."""

TICK_S = 20.0
"""Longest wait for the list of crawls; Dagster itself ends a tick after a minute, with its own error."""

_DEFAULT_NUM_GROUPS = "1"
_DAY_S = 24 * 60 * 60
_PARTITION_TAG = "dagster/partition"

Value = TypeVar("Value")


@dg.sensor(
    job=curate_crawl,
    minimum_interval_seconds=_DAY_S,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Curates the first groups of Common Crawl's newest crawl, and requests a group with failed runs again "
    f"once a day. {NUM_GROUPS_VARIABLE} sets the number of groups (default: {_DEFAULT_NUM_GROUPS}). {INDEX_VARIABLE} "
    "replaces the address of the crawl list.",
)
def newest_crawl(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Request a run for each wanted group that has none; a tick changes nothing but by its result."""
    try:
        num_groups = common_crawl_groups(os.environ.get(NUM_GROUPS_VARIABLE) or _DEFAULT_NUM_GROUPS)
        crawl = within(TICK_S, _newest)
    except LoamError as error:
        return dg.SkipReason(" ".join(str(error).split()))
    known = context.instance.get_dynamic_partitions(str(WARC_GROUPS.name))
    wanted = [partition_key(crawl, group) for group in range(num_groups)]
    requests = [request for key in wanted if (request := _request(context.instance, key)) is not None]
    if not requests:
        return dg.SkipReason(f"{crawl}: {len(wanted)} groups are already curated or running")
    new = [key for key in wanted if key not in known]
    return dg.SensorResult(
        run_requests=requests, dynamic_partitions_requests=[WARC_GROUPS.build_add_request(new)] if new else []
    )


def common_crawl_groups(text: str) -> int:
    """Return the number of groups that the variable names.

    Raises:
        LoamError: not a whole number of at least 1.
    """
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise LoamError(f"{NUM_GROUPS_VARIABLE}: '{text}', expected a whole number of at least 1")
    return int(text)


def within(seconds: float, function: Callable[[], Value]) -> Value:
    """Return the function's value if it comes within `seconds`; what takes longer is left to end by itself.

    Raises:
        UnreachableError: it did not come; also every exception of the function.
    """
    outcome: list[Value | BaseException] = []

    def work() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise UnreachableError(f"{_index()}: no answer within {seconds:g} s")
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]


def _newest() -> str:
    from pipelines.fetch.download import Downloader, DownloadPolicy  # here, since it loads an HTTP client

    policy = DownloadPolicy(max_attempts=2, backoff_s=1, connect_timeout_s=4, read_timeout_s=4, max_retry_after_s=4)
    with Downloader(policy) as downloader:
        return common_crawl.newest_crawl(_index(), downloader).name


def _index() -> str:
    return os.environ.get(INDEX_VARIABLE) or common_crawl.INDEX_URL


def _request(instance: dg.DagsterInstance, key: str) -> dg.RunRequest | None:
    """Return a request of a group's curation; None where a run of it has succeeded or is under way."""
    filters = dg.RunsFilter(job_name=curate_crawl.name, tags={_PARTITION_TAG: key})
    runs = instance.get_runs(filters)
    if any(run.status not in (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED) for run in runs):
        return None
    return dg.RunRequest(run_key=f"{key} attempt {len(runs) + 1}", partition_key=key)
