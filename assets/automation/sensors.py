"""Dagster sensors: new WARC files in a local folder. Off by default."""

from __future__ import annotations

import json
import os

import dagster as dg

from assets.automation.jobs import curate_crawl
from assets.automation.partitions import WARC_GROUPS
from assets.support.failures import explained
from pipelines.sources.warc_groups import WarcSource, list_groups

FOLDER_VARIABLE = "LOAM_WARC_FOLDER"
CRAWL_VARIABLE = "LOAM_WARC_CRAWL"
FILES_VARIABLE = "LOAM_WARC_FILES_PER_GROUP"
_DEFAULT_CRAWL = "local"
_DEFAULT_FILES_PER_GROUP = "2"
_INTERVAL_S = 60


@dg.sensor(job=curate_crawl, minimum_interval_seconds=_INTERVAL_S, default_status=dg.DefaultSensorStatus.STOPPED)
@explained
def local_warc_folder(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Registers groups of new WARC files in the folder `LOAM_WARC_FOLDER` and requests their curation.

    `LOAM_WARC_CRAWL` names the crawl that they belong to (default: `local`), `LOAM_WARC_FILES_PER_GROUP` their size.
    The cursor stores the files of each group, so later files never change a group.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return dg.SkipReason(f"{FOLDER_VARIABLE} is not set: no folder to watch")
    crawl = os.environ.get(CRAWL_VARIABLE) or _DEFAULT_CRAWL
    size = int(os.environ.get(FILES_VARIABLE) or _DEFAULT_FILES_PER_GROUP)
    source = WarcSource(kind="folder", crawl=crawl, folder=folder, files_per_group=size)
    known: dict[str, list[str]] = json.loads(context.cursor or "{}")
    groups = list_groups(source, known=known)
    new = [key for key in groups if key not in known]
    if not new:
        return dg.SkipReason(f"{folder}: no new group of WARC files")
    return dg.SensorResult(
        run_requests=[_request(key, folder, groups[key]) for key in new],
        dynamic_partitions_requests=[WARC_GROUPS.build_add_request(new)],
        cursor=json.dumps(known | groups),
    )


def _request(partition: str, folder: str, files: list[str]) -> dg.RunRequest:
    config = {"ops": {"warc_files": {"config": {"folder": folder, "files": files}}}}
    return dg.RunRequest(run_key=partition, partition_key=partition, run_config=config)


SENSORS = [local_warc_folder]
