"""The own scaling law as a graph: budgets as partitions, the prediction, its test and the page; a sweep."""

import dagster as dg
import pytest

from assets.automation.demo_run import RANGE_END, RANGE_START
from assets.automation.law_run import law_run_config
from assets.definitions import defs
from assets.support.resources import LoamHome
from lm.scaling.grid_config import GridConfig
from lm.storage import open_artifact
from tests.assets.graph.test_shown import rows_of
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
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {"home": {"config": {"path": str(folder)}}}
        run = defs.resolve_job_def("scaling_law").execute_in_process(
            run_config={**law_run_config(SMALLER), "resources": resources},
            instance=instance,
            tags={RANGE_START: "0", RANGE_END: "1"},
        )
    return LoamHome(path=str(folder)), run


@pytest.mark.slow
def test_the_law_is_predicted_tested_and_shown_in_one_run(law):
    home, run = law
    made = materializations(run)
    assert set(made) == set(NAMES)
    events = [(event.asset_key.to_user_string(), event.partition) for event in run.get_asset_materialization_events()]
    assert set(events[:2]) == {("law_runs", "0"), ("law_runs", "1")}
    assert [name for name, _ in events[2:]] == [*NAMES[1:]]  # the prediction comes before its test
    (check,) = run.get_asset_check_evaluations()
    assert check.check_name == "law_predicts" and "%" in check.description
    assert check.passed == (abs(check.metadata["relative_error"].value) <= 0.02)
    assert made["law_report"].materialization.metadata["relative_error"].value == pytest.approx(0, abs=1)
    (method,) = rows_of(made["law_prediction"].materialization.metadata["methods"])
    assert method["method"] == "parametric"  # two budgets are too few for the frontier
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
    config = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in {**SWEEP, "batch_tokens": 32}.items()
    }
    with dg.DagsterInstance.ephemeral() as instance:
        run = materialize(instance, home.path, ["scaling_runs"], config={"scaling_runs": config})
    (event,) = run.get_asset_materialization_events()
    rows = rows_of(event.materialization.metadata["points"])
    assert [row["d_model"] for row in rows] == [8, 16] and all(row["loss"] > 0 for row in rows)
    versions = {spec.key.to_user_string(): spec.code_version for spec in defs.resolve_all_asset_specs()}
    assert home.artifact("scaling_runs").code == versions["scaling_runs"]
