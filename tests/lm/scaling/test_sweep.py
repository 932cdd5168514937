import json

import pytest

from lm.errors import ConfigurationError, PartialError
from lm.scaling.sweep import run_sweep
from lm.scaling.sweep_config import POINTS, SweepConfig
from lm.scaling.training_api.queue import OverBudgetError
from tests.lm.scaling.test_grid import silent
from tests.lm.training.corpora import make_shards

SMALL = {"budgets_flops": (1e7,), "widths": (8, 16), "num_layers": 1, "d_head": 4, "context_length": 16}


def test_a_sweep_gathers_its_points_and_the_next_one_is_free(tmp_path):
    shards = make_shards(tmp_path / "shards", num_documents=20).path
    config = SweepConfig(**SMALL, batch_tokens=32)
    paths = {"shards": shards, "runs": tmp_path / "runs"}
    made = run_sweep(config, **paths, output=tmp_path / "sweep", report=silent)
    rows = json.loads(made.file(POINTS).read_text())
    assert [row["d_model"] for row in rows] == [8, 16] and all(row["loss"] > 0 for row in rows)
    assert made.summary["charged_flops"] == pytest.approx(sum(row["flops"] for row in rows))
    wider = SweepConfig(**{**SMALL, "widths": (8, 16, 24)}, batch_tokens=32, total_flops=2.1e7)
    with pytest.raises(OverBudgetError, match="expected at most the remaining"):
        run_sweep(wider, **paths, output=tmp_path / "wider", report=silent)
    wild = SweepConfig(**SMALL, batch_tokens=32, optimizer="sgd", learning_rates=(1_000.0,))
    with pytest.raises(PartialError, match=r"all 2 training runs failed; the first error: .*finite"):
        run_sweep(wild, **paths, output=tmp_path / "wild", report=silent)


def test_a_url_needs_a_key(tmp_path, monkeypatch):
    monkeypatch.delenv("LOAM_API_KEY", raising=False)
    shards = make_shards(tmp_path / "shards").path
    with pytest.raises(ConfigurationError, match="LOAM_API_KEY: not set"):
        config = SweepConfig(**SMALL, url="http://127.0.0.1:1")
        run_sweep(config, shards=shards, runs=tmp_path / "runs", output=tmp_path / "sweep", report=silent)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": ()}, "no combination"),
        ({"widths": (10,)}, "multiples of d_head"),
        ({"learning_rates": (0.0,)}, "rates"),
    ],
)
def test_bad_sweeps_are_refused_by_field(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        SweepConfig(**{**SMALL, **changes})
