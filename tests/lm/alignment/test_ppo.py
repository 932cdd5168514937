"""PPO: its experience and gradients against formulas written out, what it learns, and what it refuses."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

pytest.importorskip("lm.tokenizer")

from lm.alignment.config import PPOConfig
from lm.alignment.ppo import accumulate_gradients, experience_of, train_ppo
from lm.alignment.rollouts import Rollouts
from lm.alignment.scalar_head import ValueModel
from lm.alignment.sequences import batch_log_probs, pad
from lm.chat.records import Problem
from lm.chat.template import ChatExample
from lm.errors import ConfigurationError, InputError
from lm.evaluation.answers import JudgedAnswer
from lm.model import TransformerLM, preset
from tests.lm.alignment.test_stages import FILES, SMALL, places

EXAMPLES = [
    ChatExample([1, 2, 3, 4, 9], 3),
    ChatExample([5, 6, 7, 8, 5, 9], 2),
    ChatExample([3, 1, 9], 2),
    ChatExample([2, 2, 2, 7, 1, 1, 9], 4),
]
CONFIG = PPOConfig(batch_size=2, group_size=2, epochs=1, updates_per_epoch=1, microbatch_size=3, max_new_tokens=8)


def models(seed=0):
    torch.manual_seed(seed)
    critic = ValueModel(TransformerLM(preset("test")).double())
    torch.nn.init.normal_(critic.head.weight)
    return TransformerLM(preset("test")).double(), critic.double()


@pytest.fixture
def drawn():
    """A policy and its critic, a reference, and rollouts of the policy."""
    model, critic = models()
    batch = pad(EXAMPLES, model.device)
    rollouts = Rollouts(batch, batch_log_probs(model, batch).detach(), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), [])
    return model, critic, models(1)[0], rollouts


def expected_experience(critic, reference, rollouts, weight, config):
    """GAE of each response, by its recursion written out in Python numbers."""
    batch, mask = rollouts.batch, rollouts.batch.response_mask
    values, anchor = critic(batch).detach(), batch_log_probs(reference, batch).detach()
    advantages, returns = torch.zeros_like(anchor), torch.zeros_like(anchor)
    for row in range(len(mask)):
        places = mask[row].nonzero().flatten().tolist()
        after_value = after = 0.0
        for place in reversed(places):
            reward = -weight * (rollouts.log_probs[row, place] - anchor[row, place]).item()
            reward += rollouts.rewards.flatten()[row].item() if place == places[-1] else 0.0
            delta = reward + config.discount * after_value - values[row, place].item()
            after = delta + config.discount * config.gae_lambda * after
            advantages[row, place], returns[row, place] = after, after + values[row, place]
            after_value = values[row, place].item()
    inside = advantages[mask]
    white = ((advantages - inside.mean()) / (inside.var(correction=0) + 1e-8).sqrt()) * mask
    return values, white, returns


def answered(*finished):
    """Answers of which only the end counts."""
    problem = Problem(id="p", prompt="1 + 1?", answer=2, split="train")
    return [JudgedAnswer(problem, "", each) for each in finished]


def gradients(model, critic, experience, config):
    for network in (model, critic):
        network.zero_grad()
    numbers = accumulate_gradients(model, critic, experience, config, 1)
    parameters = [*model.named_parameters(), *critic.named_parameters()]
    return numbers, {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in parameters}


@pytest.mark.parametrize("microbatch_size", [1, 2, 4])
def test_masked_responses_are_not_learned_from(drawn, microbatch_size):
    """The gradients are those of the other responses alone, with advantages whitened over these."""
    model, critic, reference, rollouts = drawn
    config = replace(CONFIG, mask_truncated=True, microbatch_size=microbatch_size)
    masked = replace(rollouts, answers=answered(True, False, True, False))
    experience, _ = experience_of(masked, critic, reference, 0.3, config)
    assert experience.advantages[[1, 3]].eq(0).all() and experience.advantages[experience.learned].mean().abs() < 1e-6
    numbers, found = gradients(model, critic, experience, config)
    wanted_numbers, wanted = gradients(model, critic, experience.select(torch.tensor([0, 2])), config)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, wanted[name], atol=1e-9, rtol=1e-6)
    assert numbers == pytest.approx(wanted_numbers) and any(gradient.abs().sum() > 0 for gradient in found.values())
    whole, _ = experience_of(masked, critic, reference, 0.3, replace(config, mask_truncated=False))
    _, unmasked = gradients(model, critic, whole, config)
    assert any((unmasked[name] - gradient).abs().max() > 1e-6 for name, gradient in found.items())


def test_an_update_without_a_token_to_learn_from_moves_nothing(drawn):
    model, critic, reference, rollouts = drawn
    config = replace(CONFIG, mask_truncated=True)
    experience, _ = experience_of(replace(rollouts, answers=answered(*[False] * 4)), critic, reference, 0.3, config)
    numbers, found = gradients(model, critic, experience, config)
    assert numbers == {"loss": 0.0, "value_loss": 0.0}
    assert all(gradient.eq(0).all() for gradient in found.values())


def test_experience_is_that_of_the_recursion(drawn):
    _, critic, reference, rollouts = drawn
    config = PPOConfig(discount=0.9, gae_lambda=0.7, microbatch_size=3)
    found, numbers = experience_of(rollouts, critic, reference, 0.3, config)
    values, advantages, returns = expected_experience(critic, reference, rollouts, 0.3, config)
    for ours, wanted in ((found.values, values), (found.advantages, advantages), (found.returns, returns)):
        torch.testing.assert_close(ours, wanted.to(ours.dtype), atol=1e-5, rtol=1e-5)
    mask = rollouts.batch.response_mask
    kl = (rollouts.log_probs - batch_log_probs(reference, rollouts.batch).detach())[mask]
    assert numbers["kl"] == pytest.approx(kl.mean().item(), rel=1e-5)
    assert numbers["response_kl"] == pytest.approx(kl.sum().item() / 4, rel=1e-5)
    left = (returns - values)[mask].var(correction=0) / returns[mask].var(correction=0)
    assert numbers["explained_variance"] == pytest.approx(1 - left.item(), rel=1e-3)


def test_without_a_reference_the_reward_alone_counts(drawn):
    _, critic, reference, rollouts = drawn
    found, numbers = experience_of(rollouts, critic, None, 0.0, CONFIG)
    _, _, returns = expected_experience(critic, reference, rollouts, 0.0, CONFIG)
    torch.testing.assert_close(found.returns, returns.to(found.returns.dtype), atol=1e-5, rtol=1e-5)
    assert numbers["kl"] == 0.0


@pytest.mark.parametrize("microbatch_size", [1, 3, 4])
def test_gradients_are_those_of_both_losses_whatever_the_microbatch(drawn, microbatch_size):
    model, critic, reference, rollouts = drawn
    config = PPOConfig(microbatch_size=microbatch_size, clip_low=0.1, clip_high=0.3, value_clip=0.05)
    experience, _ = experience_of(rollouts, critic, reference, 0.3, config)
    mask, random = rollouts.batch.response_mask, torch.Generator().manual_seed(3)
    moved = 0.4 * torch.randn(mask.shape, generator=random, dtype=torch.double) * mask
    experience = replace(experience, log_probs=experience.log_probs + moved, values=experience.values + moved)
    numbers = accumulate_gradients(model, critic, experience, config, 1)
    found = [p.grad.clone() for m in (model, critic) for p in m.parameters() if p.grad is not None]
    model.zero_grad()
    critic.zero_grad()
    ratio = (batch_log_probs(model, experience.batch) - experience.log_probs)[mask].exp()
    advantages = experience.advantages[mask]
    policy_loss = -torch.minimum(ratio * advantages, ratio.clamp(0.9, 1.3) * advantages).mean()
    values, old, returns = (t[mask] for t in (critic(experience.batch), experience.values, experience.returns))
    near = old + (values - old).clamp(-0.05, 0.05)
    value_loss = 0.5 * torch.maximum((values - returns) ** 2, (near - returns) ** 2).mean()
    (policy_loss + value_loss).backward()
    wanted = [p.grad for m in (model, critic) for p in m.parameters() if p.grad is not None]
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)
    assert numbers["loss"] == pytest.approx(policy_loss.item(), rel=1e-4)
    assert numbers["value_loss"] == pytest.approx(value_loss.item(), rel=1e-4)
    assert numbers["ratio"] == pytest.approx(ratio.mean().item(), rel=1e-4) and 0 < numbers["clipped_share"] < 1


def test_a_value_does_not_see_the_token_that_it_is_before():
    _, critic = models()
    batch = pad(EXAMPLES[:1], torch.device("cpu"))
    before = critic(batch)
    batch.ids[0, 4] = 11
    assert torch.equal(critic(batch), before)
    batch.ids[0, 3] = 11
    assert torch.equal(critic(batch)[0, 2], before[0, 2]) and not torch.equal(critic(batch)[0, 3], before[0, 3])


def test_ppo_raises_the_verified_answer_rate_and_its_values_learn(start, weak, tmp_path):
    config = PPOConfig(
        num_steps=8,
        batch_size=16,
        group_size=16,
        learning_rate=1e-3,
        value_rate=5.0,
        kl_target=0.5,
        kl_horizon=500,
        **SMALL,
    )
    artifact = train_ppo(config, **places(start, tmp_path / "ppo", model=weak.path), problems=start / "problems.jsonl")
    assert set(artifact.names()) == FILES
    rows = [json.loads(line) for line in artifact.file("metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["verified_rate"] >= rows[0]["verified_rate"] + 0.1
    explained = [row["explained_variance"] for row in rows]
    assert explained[0] == pytest.approx(0, abs=1e-6) and max(explained) > 0.05
    assert rows[-1]["value_loss"] < 0.75 * rows[0]["value_loss"]
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-5)
    for row, after in pairwise(rows):
        assert after["kl_weight"] == row["next_kl_weight"]
        assert (row["next_kl_weight"] > row["kl_weight"]) == (row["response_kl"] > 0.5)


@pytest.mark.parametrize("values", [{"updates_per_epoch": 257}, {"discount": 1.5}, {"value_clip": 0.0}, {"epochs": 0}])
def test_impossible_settings_are_refused(values):
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        PPOConfig(**values)


def test_a_run_without_any_reward_says_so(start, tmp_path):
    config = PPOConfig(num_steps=5, batch_size=4, group_size=2, patience=2, learning_rate=1e-4, **SMALL)
    with pytest.raises(InputError, match="no response earned a reward in the first 2 steps of 8 responses"):
        train_ppo(config, **places(start, tmp_path / "ppo"), problems=start / "problems.jsonl")
    assert not (tmp_path / "ppo" / "manifest.json").exists()
