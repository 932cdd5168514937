"""Names of Dagster 1.13 that have no public place. Nothing else imports from `dagster._core`, so that an upgrade has
one module to look at.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

CheckTarget = AssetCheckEvaluationTargetMaterializationData
"""The materialization that the evaluation of a check looked at."""

LOCATION, REPOSITORY = "loam", "__repository__"
"""The code location, by the project file's name for it, and Dagster's name of the definitions in it."""


def place_in_ui(instance: dg.DagsterInstance, run_id: str) -> None:
    """Say of a run of this process which code location it belongs to: the UI shows no other run on its timeline.

    The run must have begun its first step, since its record is written anew.
    """
    run = instance.get_run_by_id(run_id)
    if run is not None:
        location = RegisteredCodeLocationOrigin(LOCATION)
        origin = RemoteRepositoryOrigin(location, REPOSITORY).get_job_origin(run.job_name)
        instance.run_storage.replace_job_origin(run, origin)
