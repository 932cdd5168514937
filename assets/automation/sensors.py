"""Dagster sensors: new WARC files in a local folder. Off by default."""

from __future__ import annotations

import json
import os

import dagster as dg

from assets.automation.jobs import curate_crawl
from assets.automation.partitions import WARC_GROUPS
from assets.support.failures import explained
from lm.errors import InputError
from lm.locations import is_remote, locate
from pipelines.sources.warc_groups import WarcSource, list_groups

FOLDER_VARIABLE = "LOAM_WARC_FOLDER"
CRAWL_VARIABLE = "LOAM_WARC_CRAWL"
FILES_VARIABLE = "LOAM_WARC_FILES_PER_GROUP"
_DEFAULT_CRAWL = "local"
_DEFAULT_FILES_PER_GROUP = "2"
_INTERVAL_S = 60


@dg.sensor(
    job=curate_crawl,
    minimum_interval_seconds=_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=f"Registers groups of new WARC files in the folder {FOLDER_VARIABLE} and requests their curation. A "
    "file is used once its size is unchanged between two ticks. "
    f"{CRAWL_VARIABLE} sets the name of the crawl (default: {_DEFAULT_CRAWL}), "
    f"{FILES_VARIABLE} the number of files per group (default: {_DEFAULT_FILES_PER_GROUP}).",
)
@explained
def local_warc_folder(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
    """Cut groups from the files that are as large as at the last tick.

    The cursor stores the files of each group, so later files never change a group, and the sizes at this tick.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return dg.SkipReason(f"{FOLDER_VARIABLE} is not set: no folder to watch")
    crawl = os.environ.get(CRAWL_VARIABLE) or _DEFAULT_CRAWL
    size = int(os.environ.get(FILES_VARIABLE) or _DEFAULT_FILES_PER_GROUP)
    source = WarcSource(kind="folder", crawl=crawl, folder=folder, files_per_group=size)
    before = json.loads(context.cursor or "{}")
    known: dict[str, list[str]] = before.get("groups", {})
    try:
        groups = list_groups(source, known=known)
    except InputError as error:  # a folder that is empty or not there yet
        return dg.SkipReason(str(error))
    sizes = _sizes(folder, [name for key in groups if key not in known for name in groups[key]])
    growing = sorted(name for name, size in sizes.items() if before.get("sizes", {}).get(name) != size)
    groups = list_groups(source, known=known, without=growing)
    new = [key for key in groups if key not in known]
    cursor = json.dumps({"groups": groups, "sizes": sizes})
    if not new:
        waiting = f"{len(growing)} files may still be growing; the next tick checks the files again"
        reason = f"{folder}: {waiting if growing else 'no new group of WARC files'}"
        return dg.SensorResult(skip_reason=dg.SkipReason(reason), cursor=cursor)
    return dg.SensorResult(
        run_requests=[_request(key, folder, groups[key]) for key in new],
        dynamic_partitions_requests=[WARC_GROUPS.build_add_request(new)],
        cursor=cursor,
    )


def _sizes(folder: str, names: list[str]) -> dict[str, int]:
    """Return the size of each file. Objects of a store appear whole, so their sizes need no second look."""
    root = locate(folder)
    return {} if is_remote(root) else {name: (root / name).stat().st_size for name in names}


def _request(partition: str, folder: str, files: list[str]) -> dg.RunRequest:
    config = {"ops": {"warc_files": {"config": {"folder": folder, "files": files}}}}
    return dg.RunRequest(run_key=partition, partition_key=partition, run_config=config)


SENSORS = [local_warc_folder]
