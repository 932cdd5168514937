"""Names of Dagster that have no public place: used in one module, and what they do is seen."""

import re

import dagster as dg

from assets.support.unpublished import LOCATION, REPOSITORY, CheckTarget, place_in_ui
from tests.conftest import REPOSITORY as CHECKOUT


def test_no_other_module_takes_a_name_from_within_dagster():
    inner = re.compile(r"^\s*(?:from|import) dagster\._", re.MULTILINE)
    files = [
        path for folder in ("assets", "pipelines", "lm", "benchmarks") for path in (CHECKOUT / folder).rglob("*.py")
    ]
    assert [path.name for path in files if inner.search(path.read_text())] == ["unpublished.py"]


def test_a_run_of_this_process_belongs_to_the_code_location(tmp_path):
    @dg.asset
    def numbers(context: dg.AssetExecutionContext) -> None:
        place_in_ui(context.instance, context.run.run_id)

    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        ended = dg.materialize([numbers], instance=instance, tags={"mine": "kept"})
        run = instance.get_run_by_id(ended.run_id)
    assert run.status == dg.DagsterRunStatus.SUCCESS and run.tags["mine"] == "kept"
    repository = run.remote_job_origin.repository_origin
    assert (repository.code_location_origin.location_name, repository.repository_name) == (LOCATION, REPOSITORY)
    assert run.remote_job_origin.job_name == run.job_name


def test_a_check_names_the_materialization_that_it_looked_at():
    target = CheckTarget(run_id="a", storage_id=1, timestamp=2.0)
    evaluation = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("a"), check_name="b", passed=True, metadata={}, target_materialization_data=target
    )
    assert evaluation.target_materialization_data == target
