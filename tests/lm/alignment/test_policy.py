"""The tuner treats a model as pre-training does: experts, widths, what decays."""

import pytest
import torch

from lm.alignment.config import SFTConfig
from lm.alignment.microbatches import sft_microbatch_step
from lm.alignment.policy import Tuner
from lm.alignment.sequences import SequenceBatch, batch_log_probs
from lm.model import TransformerLM, preset


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def learn_from(model, batch):
    sft_microbatch_step(batch_log_probs(model, batch), batch.response_mask, batch.response_mask.sum())


def a_batch():
    ids = torch.randint(16, (4, 24))
    return SequenceBatch(ids, torch.ones(4, 23, dtype=torch.bool))


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_experts_are_balanced_by_their_biases(optimizer):
    model = TransformerLM(preset("test", num_experts=4, d_ff=32, expert_balance="bias"))
    tuner = Tuner(model, SFTConfig(optimizer=optimizer, num_steps=3))
    for _ in range(3):
        learn_from(model, a_batch())
        tuner.step()
    for layer in model.layers:
        assert layer.ffn.expert_bias.any() and not layer.ffn.load.any()


@pytest.mark.parametrize(("optimizer", "share"), [("adamw", 0.25), ("muon", 0.5)])
def test_matrices_of_a_wider_model_learn_slower(optimizer, share):
    model = TransformerLM(preset("test", d_model=64, base_width=16, layer_pattern=("ssm", "full"), d_state=16))
    config = SFTConfig(optimizer=optimizer, weight_decay=0.1, warmup_steps=1, num_steps=10)
    tuner = Tuner(model, config)
    learn_from(model, a_batch())
    numbers = tuner.step()
    groups = {group["role"]: group for group in tuner._optimizer.param_groups}
    assert groups["matrices"]["lr"] == pytest.approx(share * numbers["learning_rate"])
    assert groups["embeddings"]["lr"] == groups["lm_head"]["lr"] == numbers["learning_rate"]
    assert groups["vectors"]["weight_decay"] == 0.0 and groups["matrices"]["weight_decay"] == 0.1
    assert any(parameter is model.layers[0].ssm.conv_weight for parameter in groups["vectors"]["params"])
