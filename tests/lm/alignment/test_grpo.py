"""GRPO's settings, and the gradients of one batch of rollouts."""

import math

import pytest
import torch

pytest.importorskip("lm.tokenizer")

from lm.alignment.config import GRPOConfig
from lm.alignment.grpo import _wants_more, accumulate_policy_gradients
from lm.alignment.rollouts import Rollouts, joined, rollout_numbers, update_numbers
from lm.alignment.sequences import batch_log_probs, pad
from lm.chat.records import Problem
from lm.chat.template import ChatExample
from lm.errors import ConfigurationError
from lm.evaluation.answers import JudgedAnswer
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


@pytest.mark.parametrize("method", ["naive", "reinforce_with_baseline"])
@pytest.mark.parametrize("values", [{"epochs": 3}, {"updates_per_rollout": 2}])
def test_a_loss_without_a_ratio_takes_one_update_a_step(method, values):
    with pytest.raises(ConfigurationError, match=f"method: {method} with [23] updates per step .*, expected 1"):
        GRPOConfig(method=method, **values)
    assert GRPOConfig(method=method).num_updates == GRPOConfig().num_steps
    assert GRPOConfig(method="unclipped", **values).num_updates > GRPOConfig().num_steps


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
    numbers = accumulate_policy_gradients(model, None, rollouts, config, 1)
    still = not any(parameter.grad.any() for parameter in model.parameters() if parameter.grad is not None)
    assert numbers["clipped_share"] == (share if along > 0 else 0.0) and still == (numbers["clipped_share"] == 1.0)


@pytest.fixture
def two_responses():
    torch.manual_seed(0)
    model = TransformerLM(preset("test")).double()
    batch = pad([ChatExample([1, 2, 3, 4 + i, 9], 3) for i in range(2)], model.device)
    now = batch_log_probs(model, batch).detach()
    problem = Problem(id="p", prompt="?", answer=4, split="train")
    answers = [JudgedAnswer(problem, "#### 4", True), JudgedAnswer(problem, "#### 5", False)]
    return model, Rollouts(batch, now, torch.tensor([[1.0, 0.0]]).double(), answers)


def gradients_of(model, rollouts, reference=None, **settings):
    model.zero_grad()
    numbers = accumulate_policy_gradients(model, reference, rollouts, GRPOConfig(group_size=2, **settings), 1)
    return torch.cat([p.grad.flatten() for p in model.parameters()]), numbers


def test_a_response_that_was_cut_off_may_be_left_out_of_the_loss(two_responses):
    model, rollouts = two_responses
    whole, _ = gradients_of(model, rollouts, normalization="constant")
    masked, _ = gradients_of(model, rollouts, normalization="constant", mask_truncated=True)
    finished = torch.tensor([[1.0], [0.0]])
    weights = rollouts.batch.response_mask * finished / (2 * 48)
    model.zero_grad()
    advantage = 0.5**0.5  # of rewards 1 and 0 over their standard deviation
    (-advantage * batch_log_probs(model, rollouts.batch) * weights).sum().backward()
    wanted = torch.cat([p.grad.flatten() for p in model.parameters()])
    torch.testing.assert_close(masked, wanted, atol=1e-8, rtol=1e-4)
    assert not torch.allclose(whole, masked)


def test_what_was_cut_off_and_masked_is_not_counted_as_clipped(two_responses):
    model, rollouts = two_responses
    shift = torch.tensor([[0.0], [0.7]]) * rollouts.batch.response_mask  # the second, of advantage below 0, is clipped
    moved = Rollouts(rollouts.batch, rollouts.log_probs + shift, rollouts.rewards, rollouts.answers)
    whole, masked = (gradients_of(model, moved, mask_truncated=mask)[1] for mask in (False, True))
    assert (whole["clipped_share"], masked["clipped_share"]) == (0.5, 0.0)
    assert whole["log_prob_gap"] == pytest.approx(0.35) and masked["log_prob_gap"] == pytest.approx(0.0, abs=1e-6)
    assert whole["ratio"] < 0.8 and masked["ratio"] == pytest.approx(1.0)
    assert rollout_numbers(rollouts)["truncated_share"] == 0.5


def test_a_step_logs_the_mean_of_its_updates_and_the_gap_of_the_first():
    updates = [{"loss": 1.0, "log_prob_gap": 0.0}, {"loss": 4.0, "log_prob_gap": 0.2}]
    assert update_numbers(updates) == {"loss": 2.5, "log_prob_gap": 0.1, "sampler_gap": 0.0}


@pytest.mark.parametrize("empty", [0, 1])
def test_an_update_without_a_signal_does_not_count_in_the_means_of_tokens(empty):
    """Its ratio and gap would be 0, and the step's means those of a sampler that agrees with the trainer."""
    torch.manual_seed(0)
    model = TransformerLM(preset("test"))
    batch = pad([ChatExample([1, 2, 3, 4 + i, 9], 3) for i in range(4)], model.device)
    sampler = batch_log_probs(model, batch).detach() - 0.5 * batch.response_mask
    rewards = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    rewards[empty] = 1.0
    parts = Rollouts(batch, sampler, rewards, [None] * 4).split(2)
    config = GRPOConfig(group_size=2)
    numbers = update_numbers([accumulate_policy_gradients(model, None, part, config, 1) for part in parts])
    assert numbers["ratio"] == pytest.approx(math.exp(0.5), rel=1e-4)
    assert numbers["log_prob_gap"] == pytest.approx(0.5, rel=1e-4)
    assert numbers.get("sampler_gap") == (None if empty == 0 else pytest.approx(0.5, rel=1e-4))


@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_the_kl_pulls_to_the_reference_and_is_reported(two_responses, estimator):
    model, rollouts = two_responses
    torch.manual_seed(1)
    reference = TransformerLM(preset("test")).double()
    anchor = batch_log_probs(reference, rollouts.batch).detach()
    plain, _ = gradients_of(model, rollouts)
    pulled, numbers = gradients_of(model, rollouts, reference, kl_weight=0.5, kl_estimator=estimator)
    d = (rollouts.log_probs - anchor)[rollouts.batch.response_mask]
    assert numbers["kl"] == pytest.approx((torch.exp(-d) + d - 1).mean().item(), rel=1e-6)
    weights = rollouts.batch.response_mask / rollouts.batch.response_mask.sum()
    now = batch_log_probs(model, rollouts.batch)
    difference = now - anchor
    k1 = (rollouts.log_probs - anchor) * now  # the penalty as part of the advantage
    penalty = {"k1": k1, "k2": difference**2 / 2, "k3": torch.exp(-difference) + difference}[estimator]
    model.zero_grad()
    (0.5 * penalty * weights).sum().backward()
    wanted = plain + torch.cat([p.grad.flatten() for p in model.parameters()])
    torch.testing.assert_close(pulled, wanted, atol=1e-7, rtol=1e-3)


@pytest.mark.parametrize("method", ["naive", "reinforce_with_baseline", "unclipped", "clip", "gspo", "cispo"])
def test_on_policy_every_method_updates_alike(two_responses, method):
    model, rollouts = two_responses
    found, numbers = gradients_of(model, rollouts, method=method)
    torch.testing.assert_close(found, gradients_of(model, rollouts)[0], atol=1e-8, rtol=1e-5)
    assert numbers["ratio"] == pytest.approx(1.0) and numbers["log_prob_gap"] == pytest.approx(0.0, abs=1e-6)


def some_rollouts(prompt_length, rewards, answers=()):
    examples = [ChatExample([*range(prompt_length), 5, 9], prompt_length) for _ in rewards]
    batch = pad(examples, torch.device("cpu"))
    return Rollouts(batch, -1.0 * batch.response_mask, torch.tensor(rewards).view(-1, 2), list(answers))


def test_joined_rollouts_are_those_of_their_parts():
    parts = [some_rollouts(3, [1.0, 0.0], "ab"), some_rollouts(6, [1.0, 1.0, 0.0, 1.0], "cdef")]
    whole = joined(parts)
    assert whole.batch.ids.shape == (6, 8) and whole.log_probs.shape == whole.batch.response_mask.shape == (6, 7)
    assert whole.rewards.tolist() == [[1, 0], [1, 1], [0, 1]] and "".join(whole.answers) == "abcdef"
    rows = [row for part in parts for row in part.batch.ids.tolist()]
    assert [row[: len(other)] for row, other in zip(whole.batch.ids.tolist(), rows, strict=True)] == rows
    assert whole.batch.response_mask.sum() == 12 and (whole.log_probs == -1.0 * whole.batch.response_mask).all()
    assert joined(parts[:1]) is parts[0] and whole.num_with_signal == 2


@pytest.mark.parametrize(("floor", "most", "draws"), [(0.0, 4, 1), (0.5, 4, 2), (1.0, 4, 3), (1.0, 2, 2)])
def test_a_step_draws_until_enough_groups_have_a_signal(floor, most, draws):
    config = GRPOConfig(group_size=2, batch_size=2, signal_floor=floor, most_draws=most)
    coming = iter([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], [1.0, 0.0] * 2])
    parts = []
    while _wants_more(parts, config):
        parts.append(some_rollouts(3, next(coming)))
    assert len(parts) == draws
