"""Evaluations of a running training, as observations of its asset."""

import json

import dagster as dg

from assets.support.observing import evaluations, observed
from lm.training.metrics import LIVE, work_folder


def write(output, *rows):
    folder = work_folder(output)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LIVE).open("a") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


def test_each_evaluation_is_observed_once_and_an_earlier_part_is_not(tmp_path):
    output = tmp_path / "model"
    write(output, {"step": 100, "validation_loss": 5.123456, "seconds": 1})

    @dg.asset
    def model(context: dg.AssetExecutionContext) -> None:
        with observed(context, output):
            write(output, {"step": 101, "loss": 4.0}, {"step": 200, "validation_loss": 4.567891, "seconds": 2})
        with observed(context, output):
            write(output, {"step": 300, "validation_loss": 3.5, "validation_loss/books": 3.25})

    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([model], instance=instance).success
        seen = [
            record.asset_observation for record in instance.fetch_observations(dg.AssetKey("model"), limit=10).records
        ]
        found = [{name: value.value for name, value in each.metadata.items()} for each in reversed(seen)]
    assert found == [
        {"step": 200, "validation_loss": 4.568},
        {"step": 300, "validation_loss": 3.5, "validation_loss/books": 3.25},
    ]
    assert [row["step"] for row in evaluations(output)] == [100, 200, 300]
