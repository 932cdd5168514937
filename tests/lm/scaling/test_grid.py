import json
import math

import pytest

from lm.accounting import count_parameters, training_flops_per_token
from lm.errors import ConfigurationError, InputError
from lm.scaling import grid
from lm.scaling.fits import fits_of
from lm.scaling.grid import points_in, run_budget, run_prediction, steps_for, write_prediction
from lm.scaling.grid_config import GRIDS, GridConfig
from lm.scaling.law_page import PAGE, write_law_report
from lm.scaling.points import points_of
from lm.storage import open_artifact
from tests.lm.training.corpora import make_shards

SMALL = {
    "budgets_flops": (2e7, 4e7),
    "widths": (8, 16, 24),
    "num_layers": 1,
    "d_head": 4,
    "context_length": 16,
    "batch_tokens": 32,
    "base_width": 16,
    "prediction_factor": 2.0,
    "prediction_seeds": (0, 1),
    "num_draws": 20,
    "training": {"num_threads": 1},
}


def silent(event):
    """Drop what is reported."""


@pytest.fixture(scope="module")
def law(tmp_path_factory):
    """A whole law of tiny trainings: its configuration and artifacts."""
    folder, config = tmp_path_factory.mktemp("law"), GridConfig(**SMALL)
    shards = make_shards(folder / "shards", num_documents=40).path
    runs = folder / "runs"
    budgets = {
        name: run_budget(config, budget=name, shards=shards, runs=runs, output=folder / name).path
        for name in ("0", "1")
    }
    prediction = write_prediction(config, budgets=budgets, shards=shards, output=folder / "prediction")
    paths = {"prediction": prediction.path, "shards": shards, "runs": runs, "output": folder / "test"}
    return (
        config,
        {name: open_artifact(path) for name, path in budgets.items()},
        prediction,
        run_prediction(config, **paths),
        paths,
    )


def test_every_width_is_trained_for_the_budget(law):
    config, budgets, *_ = law
    for artifact, flops in zip(budgets.values(), config.budgets_flops, strict=True):
        rows = points_in(artifact)
        assert [row["d_model"] for row in rows] == [8, 16, 24]
        for row in rows:
            shape = config.shape(row["d_model"], 64)
            assert row["parameters"] == count_parameters(shape).total > row["non_embedding_parameters"]
            assert row["flops"] == row["tokens"] * training_flops_per_token(shape)
            assert row["flops"] == pytest.approx(flops, rel=0.1)


def test_the_prediction_is_an_input_of_its_runs(law):
    _, _, prediction, test, paths = law
    assert test.inputs["law_prediction"] == prediction.digest
    told = json.loads(prediction.file("prediction.json").read_text())
    assert told["method"] == "parametric"  # two budgets are too few for the frontier
    assert told["low"] <= told["loss"] <= told["high"] and told["flops"] == pytest.approx(8e7, rel=0.1)
    found = json.loads(test.file("runs.json").read_text())
    losses = [row["loss"] for row in found["runs"]]
    assert [row["seed"] for row in found["runs"]] == [0, 1] and losses[0] != losses[1]
    assert found["measured_loss"] == pytest.approx(sum(losses) / 2)
    assert found["relative_error"] == pytest.approx(told["loss"] / found["measured_loss"] - 1)
    other = GridConfig(**{**SMALL, "learning_rate": 1e-3})
    with pytest.raises(InputError, match="another configuration or other shards"):
        run_prediction(other, **paths)


@pytest.mark.parametrize(("gain", "method"), [(0.0, "parametric"), (0.3, "frontier")])
def test_the_method_that_predicts_the_largest_budget_better_is_believed(gain, method):
    """Losses of a parametric law; with `gain` they fall on and on with compute, as no such law does."""
    config = GridConfig(**{**SMALL, "widths": (8, 16, 24, 32), "budgets_flops": (1e8, 2e8, 4e8, 8e8)})
    rows = []
    for flops in config.budgets_flops:
        for width in config.widths:
            row = grid._spent(config, width, steps_for(config, width, flops, 64), 64)
            away = math.log(row["parameters"] / 3_000 / (flops / 1e8) ** 0.5) ** 2
            summed = 1.0 + 30 / row["parameters"] ** 0.4 + 60 / row["tokens"] ** 0.4
            falling = 3.0 * (flops / 1e8) ** -gain * (1 + 0.05 * away)
            rows.append({**row, "loss": falling if gain else summed})
    law = fits_of(points_of(rows), num_draws=10) | {"points": rows, "vocab_size": 64}
    told = grid._prediction(config, law)
    errors = told["largest_left_out"]
    assert told["method"] == method and told["loss"] == told["losses"][method]
    assert abs(errors[method]) == min(abs(error) for error in errors.values())
    assert told["low"] <= told["loss"] <= told["high"]
    if gain:
        assert told["loss"] == pytest.approx(3.0 * 16**-gain, rel=0.05)


def test_the_page_shows_the_prediction_and_has_the_same_bytes_again(law, tmp_path):
    _, _, prediction, test, _ = law
    first, again = (write_law_report(prediction, test, tmp_path / name).file(PAGE) for name in ("a", "b"))
    text = first.read_text()
    assert first.read_bytes() == again.read_bytes() and text.count("<svg") == 3
    assert f"{test.summary['measured_loss']:.4f}" in text and "IsoFLOP" in text and "non-embedding" in text


def test_a_budget_that_trains_nothing_is_refused():
    config = GridConfig(**SMALL)
    with pytest.raises(ConfigurationError, match="trains a d_model of 24 for 0 steps, expected at least 10"):
        steps_for(config, 24, 1e5, 64)
    with pytest.raises(ConfigurationError, match="budget '7': the grid has budgets 0 to 1"):
        run_budget(config, budget="7", shards=None, runs=None, output=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budgets_flops": (1e9,)}, "budgets_flops"),
        ({"budgets_flops": (2e9, 1e9)}, "increasing"),
        ({"budgets_flops": tuple(10.0**i for i in range(9, 19))}, "at most 8"),
        ({"widths": (8, 18)}, "multiples of d_head = 4"),
        ({"prediction_seeds": ()}, "prediction_seeds"),
        ({"training": {"learning_rate": 1.0}}, "follows from the grid"),
        ({"training": {"optimizer": "adam"}}, "optimizer"),
    ],
)
def test_bad_grids_are_refused_by_field(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        GridConfig(**{**SMALL, **changes})


def test_the_demo_grid_has_four_budgets_of_five_sizes():
    demo = GRIDS["demo"]
    assert len(demo.budgets_flops) >= 4 and len(demo.widths) >= 5 and demo.prediction_factor == 4
    assert len(demo.prediction_seeds) == 3 and GRIDS["gpu"].widths[-1] > demo.widths[-1]
