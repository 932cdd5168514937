"""Results of a partitioned asset: every good group is reported with its metadata and checks, a bad one fails alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import dagster as dg

from assets.automation.partitions import WARC_GROUPS
from assets.support.checks import Check, Found, Made, evaluations
from assets.support.resources import LoamHome
from assets.support.results import Plots, Stopwatch, group_metadata, joint_digest
from lm.errors import LoamError, UnreachableError, as_loam_error
from lm.storage import Artifact

DATA_VERSION_TAG = "dagster/data_version"
"""The tag by which a materialization gives its data version, as Dagster's docs of external assets have it."""

Value = TypeVar("Value")
Events = Iterator[Any]


def each_group(
    groups: Iterable[str], function: Callable[[str], Value], failed: dict[str, LoamError]
) -> dict[str, Value]:
    """Return `function` of every group that has not failed; a group's `LoamError` is put into `failed`."""
    found = {}
    for group in groups:
        if group not in failed:
            try:
                found[group] = function(group)
            except LoamError as error:
                failed[group] = error
            except OSError as error:
                known = as_loam_error(error)
                if known is None:
                    raise
                failed[group] = known
    return found


def report_groups(
    context: dg.AssetExecutionContext,
    home: LoamHome,
    artifacts: Mapping[str, Artifact],
    failed: Mapping[str, LoamError],
    watch: Stopwatch,
    *,
    checks: Sequence[Check] = (),
    plots_of: Callable[[str, Artifact], Plots] | None = None,
    joint: Plots | None = None,
) -> Events:
    """Yield the events of a run's groups: materializations, then the results of their checks.

    Where a group failed, or a blocking check of it, the others are reported all the same and the step fails.

    Raises:
        dg.Failure: names every failed group with its reason.
        UnreachableError: the same, where a silent store is the only reason.
    """
    registered = context.instance.get_dynamic_partitions(str(WARC_GROUPS.name)) if checks else ()
    looked: dict[str, list[tuple[Check, Found]]] = {}
    for group, artifact in artifacts.items():
        made = Made(home=home, artifact=artifact, group=group, groups=registered)
        looked[group] = [(check, check.look(made)) for check in checks]
    bad = {group: str(error).removeprefix(f"partition '{group}': ") for group, error in failed.items()}
    bad |= _blocked(looked)
    shared = {"seconds": dg.MetadataValue.float(watch.seconds), **(joint or {})}
    metadata = {
        group: group_metadata(plots_of(group, artifact) if plots_of else {}, artifact)
        for group, artifact in artifacts.items()
    }
    if bad:  # one result would report all groups of the run as made
        for group, artifact in artifacts.items():
            yield dg.AssetMaterialization(
                asset_key=context.asset_key,
                partition=group,
                metadata={**metadata[group], **shared},
                tags={DATA_VERSION_TAG: artifact.digest},
            )
    else:
        for group in artifacts:
            context.add_asset_metadata({**metadata[group], **shared}, partition_key=group)
        yield dg.MaterializeResult(data_version=dg.DataVersion(joint_digest(artifacts.values())))
    yield from evaluations(context, looked)
    if bad:
        codes = [error.exit_code for error in failed.values()]
        told = "; ".join(f"{group}: {reason}" for group, reason in bad.items())
        count = (
            f"{len(bad)} of {len(context.partition_keys)} groups failed: " if len(context.partition_keys) > 1 else ""
        )
        if set(map(type, failed.values())) == {UnreachableError} and len(failed) == len(bad):
            raise UnreachableError(f"{count}{told}")  # nothing is wrong with the groups: the step may be tried again
        raise dg.Failure(
            description=f"{count}{told}",
            metadata={"exit_code": max(codes, default=2), "failed_groups": ", ".join(sorted(bad))},
            allow_retries=False,
        )
    for check in checks:  # their results are reported by group, above
        yield dg.Output(None, output_name=check.spec(context.asset_key.to_user_string()).get_python_identifier())


def _blocked(looked: Mapping[str, Sequence[tuple[Check, Found]]]) -> dict[str, str]:
    """Return the groups that a blocking check stops, with the check and its line."""
    return {
        group: f"{check.name}: {found.description}"
        for group, pairs in looked.items()
        for check, found in pairs
        if check.blocks(found)
    }
