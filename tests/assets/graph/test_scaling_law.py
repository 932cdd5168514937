"""The own scaling law as a graph: budgets as partitions, the prediction, its test and the page; a sweep."""

import dagster as dg
import pytest

from assets.automation.jobs import law_job
from assets.definitions import defs
from assets.support import launchpad
from assets.support.resources import LoamHome
from lm.scaling.grid_config import GRIDS, GridConfig
from lm.storage import open_artifact
from tests.assets.runs import materializations, materialize
from tests.lm.scaling.test_grid import SMALL
from tests.lm.scaling.test_sweep import SMALL as SWEEP
from tests.lm.training.corpora import make_shards

NAMES = ("law_runs", "law_prediction", "law_test", "law_report")
SMALLER = GridConfig(**{**SMALL, "prediction_seeds": (0,), "num_draws": 5})


@pytest.fixture(scope="module")
def law(tmp_path_factory):
    """A home, and the run of the law's job in it."""
    folder = tmp_path_factory.mktemp("law")
    make_shards(folder / "artifacts" / "token_shards", num_documents=40)
    job = law_job("law", SMALLER, "A law of tiny trainings.")
    found = dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("law")
    with dg.DagsterInstance.ephemeral() as instance:
        run = found.execute_in_process(
            run_config={**found.run_config, "resources": {"home": {"config": {"path": str(folder)}}}}, instance=instance
        )
    return LoamHome(path=str(folder)), run


@pytest.mark.slow
def test_the_law_is_predicted_tested_and_shown_in_one_run(law):
    home, run = law
    made = materializations(run)
    assert set(made) == set(NAMES) and made["law_runs"].partition == "1"
    order = [event.asset_key.to_user_string() for event in run.get_asset_materialization_events()]
    assert order == ["law_runs", *NAMES]  # one a budget; the prediction comes before its test
    (check,) = run.get_asset_check_evaluations()
    assert check.check_name == "law_predicts" and "%" in check.description
    assert check.passed == (abs(check.metadata["relative_error"].value) <= 0.02)
    assert made["law_report"].materialization.metadata["relative_error"].value == pytest.approx(0, abs=1)
    assert home.artifact("law_report").file("report.html").exists()


@pytest.mark.slow
def test_code_versions_are_those_of_the_artifacts(law):
    home, _ = law
    versions = {spec.key.to_user_string(): spec.code_version for spec in defs.resolve_all_asset_specs()}
    for name in NAMES:
        assert open_artifact(home.target(name) / ("0" if name == "law_runs" else "")).code == versions[name], name


@pytest.mark.slow
def test_a_sweep_is_gathered(law):
    home, _ = law
    config = {name: list(value) if isinstance(value, tuple) else value for name, value in SWEEP.items()}
    with dg.DagsterInstance.ephemeral() as instance:
        run = materialize(instance, home.path, ["scaling_runs"], config={"scaling_runs": config})
    (event,) = run.get_asset_materialization_events()
    rows = [record.data for record in event.materialization.metadata["points"].records]
    assert [row["d_model"] for row in rows] == [8, 16] and all(row["loss"] > 0 for row in rows)
    versions = {spec.key.to_user_string(): spec.code_version for spec in defs.resolve_all_asset_specs()}
    assert home.artifact("scaling_runs").code == versions["scaling_runs"]


@pytest.mark.parametrize(("name", "grid"), [("scaling_law", "demo"), ("scaling_law_gpu", "gpu")])
def test_the_jobs_have_the_grids_of_their_presets(name, grid):
    job = defs.resolve_job_def(name)
    launchpad.check_run(job.run_config)
    assert job.run_config["ops"]["law_test"]["config"]["budgets_flops"] == list(GRIDS[grid].budgets_flops)
    assert job.tags["dagster/asset_partition_range_end"] == str(len(GRIDS[grid].budgets_flops) - 1)
