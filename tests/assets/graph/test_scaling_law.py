"""The own scaling law as a graph: budgets as partitions, the prediction, its test and the page."""

import dagster as dg
import pytest

from assets.definitions import defs
from lm.storage import open_artifact
from tests.lm.scaling.test_grid import SMALL
from tests.lm.training.corpora import make_shards

NAMES = ("law_runs", "law_prediction", "law_test", "law_report")
CHECKS = [each for each in defs.asset_checks if "law_predicts" in {key.name for key in each.check_keys}]


@pytest.mark.slow
def test_the_law_is_predicted_tested_and_shown(tmp_path):
    home = tmp_path / "home"
    make_shards(home / "artifacts" / "token_shards", num_documents=40)
    settings = {**SMALL, "prediction_seeds": [0], "num_draws": 5}
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    assets = [defs.get_assets_def(name) for name in NAMES]
    with dg.DagsterInstance.ephemeral() as instance:

        def run(name, config, **options):
            return dg.materialize(
                [*assets, *CHECKS],
                selection=dg.AssetSelection.assets(name),
                run_config={"resources": {"home": {"config": {"path": str(home)}}}, "ops": config},
                resources=defs.resources,
                instance=instance,
                **options,
            )

        tags = {"dagster/asset_partition_range_start": "0", "dagster/asset_partition_range_end": "1"}
        assert run("law_runs", {"law_runs": {"config": settings}}, tags=tags).success
        for name in ("law_prediction", "law_test"):
            tested = run(name, {name: {"config": settings}})
            assert tested.success
        (check,) = tested.get_asset_check_evaluations()
        assert check.check_name == "law_predicts" and "%" in check.description
        assert check.passed == (abs(check.metadata["relative_error"].value) <= 0.02)
        done = run("law_report", {})
    versions = {spec.key.to_user_string(): spec.code_version for spec in defs.resolve_all_asset_specs()}
    for name in NAMES:
        made = open_artifact(home / "artifacts" / name / ("0" if name == "law_runs" else ""))
        assert made.code == versions[name], name
    (event,) = done.get_asset_materialization_events()
    assert event.materialization.metadata["relative_error"].value == pytest.approx(0, abs=1)
    assert (home / "artifacts" / "law_report").exists()
