import dataclasses
import json

import pytest

from lm.accounting import training_flops_per_token
from lm.scaling.budget_comparison import BUDGET, comparison
from lm.scaling.training_budget import predicted_seconds, write_training_budget
from lm.training.pretrain import pretrain
from tests.lm.scaling.test_grid import silent
from tests.lm.training.corpora import config_of, make_shards


def test_a_budget_is_held_against_its_run(tmp_path):
    shards = make_shards(tmp_path / "shards", num_documents=20).path
    config = config_of(num_steps=12, model={"d_model": 128, "context_length": 64}, microbatch_size=0)
    path = tmp_path / "budget"
    budget = write_training_budget(config, shards=shards, output=path, report=silent)
    facts = json.loads(budget.file(BUDGET).read_text())
    shape = config.model_config(64)
    assert facts["tokens"] == 12 * 4 * 64 and facts["evaluated_tokens"] == 2 * 100
    assert facts["flops"] == facts["tokens"] * training_flops_per_token(shape)
    assert predicted_seconds(facts, 2.0) == pytest.approx(2 * (12 + 200 / 256 / 3))
    model = pretrain(config, shards, tmp_path / "model")
    found = comparison(budget, path, model, tmp_path / "model")
    assert found["same"] and abs(found["bytes_error"]) < 0.1
    assert found["measured_seconds"] > 0 and found["seconds_error"] is not None
    other = pretrain(dataclasses.replace(config, learning_rate=1e-3), shards, tmp_path / "other")
    assert not comparison(budget, path, other, tmp_path / "other")["same"]
