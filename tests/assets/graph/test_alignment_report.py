"""The report over seeds as an asset: the evaluation reports of other homes beside its own."""

import dagster as dg
import pytest

from assets.graph.alignment_report import alignment_holds_over_seeds
from assets.support.resources import LoamHome
from tests.assets import runs
from tests.lm.alignment.test_seed_report import report


@pytest.mark.parametrize("with_own", [True, False])
def test_it_compares_homes_with_a_chart_a_figure(tmp_path, with_own):
    homes = [tmp_path / name for name in ("own", "second", "third")]
    for number, home in enumerate(homes):
        report(home / "artifacts", "evaluation_report", (0.0, 0.5 + 0.01 * number, 0.8))
    config = {"alignment_report": {"homes": [str(home) for home in homes[1:]], "with_own": with_own}}
    with dg.DagsterInstance.ephemeral() as instance:
        result = runs.materialize(instance, homes[0], ["alignment_report"], config=config)
    artifact = runs.artifact(homes[0], "alignment_report")
    assert artifact.summary["num_runs"] == (3 if with_own else 2)
    shown = runs.materializations(result)["alignment_report"].materialization.metadata
    for name in ("greedy_verified_rate", "tax"):
        assert shown[name].value.startswith("![")
    assert shown["num_runs"].value == artifact.summary["num_runs"] and "± " in shown["report"].value
    assert shown["grpo/gain"].value == pytest.approx(0.29 if with_own else 0.285)
    found = alignment_holds_over_seeds(home=LoamHome(path=str(homes[0])))
    assert found.passed and found.metadata["least_gain"].value == pytest.approx(0.28)
