"""GRPO's settings, and the gradients of one batch of rollouts."""

import pytest
import torch

pytest.importorskip("lm.tokenizer")

from lm.alignment.config import GRPOConfig
from lm.alignment.grpo import _accumulate_gradients
from lm.alignment.rollouts import Rollouts
from lm.alignment.sequences import batch_log_probs, pad
from lm.chat.template import ChatExample
from lm.errors import ConfigurationError
from lm.model import TransformerLM, preset


@pytest.mark.parametrize(
    "values",
    [
        {"group_size": 1},
        {"temperature": 0.0},
        {"format_reward": 1.0},
        {"learning_rate": 0.0},
        {"updates_per_rollout": 65},
        {"learning_rate": float("nan")},
    ],
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        GRPOConfig(**values)


@pytest.mark.parametrize(
    ("shift", "share"),
    [(0.0, 0.0), (0.1, 0.0), (0.7, 1.0)],  # of the log-probabilities along the advantage
)
@pytest.mark.parametrize("along", [1, -1])
def test_only_tokens_whose_gradient_stops_are_clipped(shift, share, along):
    torch.manual_seed(0)
    model = TransformerLM(preset("test"))
    batch = pad([ChatExample([1, 2, 3, 4 + i, 9], 3) for i in range(2)], model.device)
    now = batch_log_probs(model, batch).detach()
    moved = torch.tensor([[along * shift], [-along * shift]]) * batch.response_mask
    rollouts = Rollouts(batch, now - moved, torch.tensor([[1.0, 0.0]]), [])
    config = GRPOConfig(group_size=2, negative_weight=1.0)
    numbers = _accumulate_gradients(model, None, rollouts, config, 1)
    still = not any(parameter.grad.any() for parameter in model.parameters() if parameter.grad is not None)
    assert numbers["clipped_share"] == (share if along > 0 else 0.0) and still == (numbers["clipped_share"] == 1.0)
