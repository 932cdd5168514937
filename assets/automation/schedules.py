"""Dagster schedules: the newest crawl of Common Crawl, once a month. Off by default."""

from __future__ import annotations

import os

import dagster as dg

from assets.automation.jobs import curate_crawl
from assets.automation.partitions import WARC_GROUPS
from assets.support.failures import explained
from pipelines import common_crawl
from pipelines.paths import partition_key

NUM_GROUPS_VARIABLE = "LOAM_GROUPS_PER_CRAWL"
"""Number of groups of the newest crawl that a tick requests; a whole crawl has tens of thousands."""

INDEX_VARIABLE = "LOAM_CRAWL_INDEX"
"""Address of the list of crawls, in place of Common Crawl's."""

_DEFAULT_NUM_GROUPS = "1"


@dg.schedule(
    job=curate_crawl,
    cron_schedule="0 6 3 * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
)
@explained
def newest_crawl(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
    """Curates the first groups of the newest crawl on the third of each month, unless they are registered already.

    `LOAM_GROUPS_PER_CRAWL` says how many groups; `LOAM_CRAWL_INDEX` names another address of the list of crawls.
    """
    crawl = common_crawl.newest_crawl(os.environ.get(INDEX_VARIABLE) or common_crawl.INDEX_URL).name
    num_groups = int(os.environ.get(NUM_GROUPS_VARIABLE, _DEFAULT_NUM_GROUPS))
    wanted = [partition_key(crawl, group) for group in range(num_groups)]
    known = set(context.instance.get_dynamic_partitions(str(WARC_GROUPS.name)))
    new = [key for key in wanted if key not in known]
    if not new:
        return dg.SkipReason(f"{crawl} is registered already, with {len(wanted)} groups")
    context.instance.add_dynamic_partitions(str(WARC_GROUPS.name), new)
    return [dg.RunRequest(run_key=key, partition_key=key) for key in new]


SCHEDULES = [newest_crawl]
