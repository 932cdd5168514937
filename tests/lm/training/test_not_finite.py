"""Runs whose weights or scores are not finite: one line, and the last good checkpoint stays."""

import math

import pytest
import torch

from lm.ablations.config import AblationConfig
from lm.ablations.report import runs_of
from lm.ablations.run import run_ablation
from lm.errors import NonFiniteError
from lm.storage import open_artifact
from lm.training.optimizers import AdamW
from lm.training.pretrain import pretrain, work_folder
from lm.training.run_checkpoint import checkpoint_folders, step_of
from lm.training.validation import Validator
from tests.lm.training.corpora import config_of


def spoil_last_evaluation(monkeypatch, when):
    """Make the last evaluation NaN where `when(model)` holds."""
    score = Validator.at_the_end

    def spoiled(self, model, **how):
        return {**score(self, model, **how), **({"validation_loss": math.nan} if when(model) else {})}

    monkeypatch.setattr(Validator, "at_the_end", spoiled)


@pytest.mark.fault(47)
def test_a_last_evaluation_that_is_not_finite_is_one_line_at_each_rerun(shards, tmp_path, monkeypatch):
    before = pretrain(config_of(num_steps=3), shards.path, tmp_path / "m")
    spoil_last_evaluation(monkeypatch, lambda model: True)
    for _ in range(2):
        with pytest.raises(NonFiniteError, match=r"^last evaluation, after step 6: validation_loss is nan") as ended:
            pretrain(config_of(num_steps=6), shards.path, tmp_path / "m")
        assert ended.value.exit_code == 3 and "\n" not in str(ended.value)
    assert open_artifact(tmp_path / "m").digest == before.digest  # what was published stays
    assert step_of(checkpoint_folders(work_folder(tmp_path / "m") / "checkpoints")[0]) == 6
    monkeypatch.undo()
    assert pretrain(config_of(num_steps=6), shards.path, tmp_path / "m").summary["steps"] == 6


@pytest.mark.fault(47)
def test_an_evaluation_on_the_way_that_is_not_finite_ends_the_run(shards, tmp_path, monkeypatch):
    values = {"validation_loss": 1.0, "validation_loss/poems": math.inf}
    monkeypatch.setattr(Validator, "on_the_way", lambda self, model, tokens: values)
    with pytest.raises(NonFiniteError, match="evaluation after step 5: validation_loss/poems is inf"):
        pretrain(config_of(), shards.path, tmp_path / "m")


@pytest.mark.fault(47)
def test_an_update_that_spoils_the_weights_replaces_no_good_checkpoint(shards, tmp_path, monkeypatch):
    step = AdamW.step

    def spoiling(self, closure=None):
        found = step(self, closure)
        self.calls = getattr(self, "calls", 0) + 1
        if self.calls == 12:  # the last step: no later loss would tell
            with torch.no_grad():
                self.param_groups[0]["params"][0].view(-1)[3] = math.inf
        return found

    monkeypatch.setattr(AdamW, "step", spoiling)
    with pytest.raises(
        NonFiniteError, match=r"step 12: weight 'token_embeddings\.weight' is not finite after the update"
    ):
        pretrain(config_of(checkpoint_interval=2), shards.path, tmp_path / "m")
    assert step_of(checkpoint_folders(work_folder(tmp_path / "m") / "checkpoints")[0]) == 10
    monkeypatch.undo()
    assert pretrain(config_of(checkpoint_interval=2), shards.path, tmp_path / "m").summary["steps"] == 12


def test_an_ablation_goes_on_past_a_variant_whose_score_is_not_finite(shards, tmp_path, monkeypatch):
    spoil_last_evaluation(monkeypatch, lambda model: model.config.norm == "layer")
    config = AblationConfig(
        num_tokens=1_280, seeds=(0,), training={"preset": "test", "batch_size": 4, "num_threads": 1, "device": "cpu"}
    )
    made = run_ablation(config, question="norm", shards=shards.path, runs=tmp_path / "runs", output=tmp_path / "norm")
    found = {run["variant"]: run for run in runs_of(made)}
    assert found["LayerNorm"]["validation_loss"] is None and "validation_loss is nan" in found["LayerNorm"]["diverged"]
    assert all(found[name]["validation_loss"] is not None for name in ("RMSNorm", "no norm"))
