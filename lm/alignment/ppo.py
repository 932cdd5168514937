"""Proximal policy optimization: sampled answers are verified, and a value model spreads the reward over tokens.

The reward of a response comes with its last token; each token loses `kl_weight` · log(π / π_ref), the k1 estimate of
the KL from the model that training starts from. Advantages and returns are those of GAE (`advantages`), the advantages
whitened over the step's tokens. `epochs` passes over the responses, in `updates_per_epoch` parts each, then minimize

    mean over tokens of  − min( r A, clip(r, 1 − ε_low, 1 + ε_high) A )      for the policy
    mean over tokens of  ½ max( (V − R)², (clipped V − R)² )                 for the value model

The value model is a second Transformer that starts from the policy's weights, with a head of its own and its own
gradient norm. Sources: Schulman et al. 2017, arXiv:1707.06347; Ziegler et al. 2019, arXiv:1909.08593, for the reward
and the adaptive weight of the KL; Ouyang et al. 2022, arXiv:2203.02155.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lm.alignment.advantages import generalized_advantages, whitened
from lm.alignment.config import PPOConfig
from lm.alignment.masked import masked_mean
from lm.alignment.microbatches import grpo_microbatch_step
from lm.alignment.policy import Outcome, Policy, Report, StepLog, Tuner, check_finite, silent, tune_to_artifact
from lm.alignment.policy_losses import adapted_kl_weight, clipped_value_loss, kl_estimate, token_weights
from lm.alignment.rollouts import (
    Rollouts,
    learn_problems,
    roll_out,
    rollout_numbers,
    update_numbers,
    without_reward,
)
from lm.alignment.scalar_head import ValueModel
from lm.alignment.sequences import SequenceBatch, batch_log_probs, shuffled_batches
from lm.alignment.validation import Validation
from lm.chat.records import Problem
from lm.inference.engine import GenerationConfig
from lm.model import TransformerLM
from lm.progress import track
from lm.rewards.answer_line import answer_line_reward
from lm.rewards.functions import RewardFunction
from lm.storage import Artifact


def train_ppo(
    config: PPOConfig,
    *,
    model: Path,
    tokenizer: Path,
    problems: Path,
    output: Path,
    shards: Path | None = None,
    report: Report = silent,
) -> Artifact:
    """Tune the model at `model` on the training part of `problems` and publish it at `output`; the value model is not
    kept.

    `evaluation.json` has the rates of well-formed and verified answers to the held-out problems, greedy and sampled:
    `before`, and after at the top level.

    Raises:
        InputError: a bad line, an empty split, a prompt that leaves no room in the context, or another tokenizer's
        model.
    """

    def tune(policy: Policy, log: StepLog) -> Outcome:
        def learn(train: list[Problem], validation: list[Problem]) -> dict[str, Any]:
            return optimize(policy, train, config, log, validation=validation)

        return learn_problems(policy, problems, config, learn)

    return tune_to_artifact(
        "ppo",
        config,
        tune,
        model=model,
        tokenizer=tokenizer,
        data=problems,
        output=output,
        shards=shards,
        report=report,
    )


@dataclass(frozen=True, slots=True)
class Experience:
    """Responses with what the update needs of each token; 0 outside of the responses."""

    batch: SequenceBatch
    learned: Bool[Tensor, "rows targets"]
    """The tokens that the update learns from: all of the responses, or those of responses that ended."""
    log_probs: Float[Tensor, "rows targets"]
    """Under the policy that drew them."""
    values: Float[Tensor, "rows targets"]
    """Of the value model before the update."""
    advantages: Float[Tensor, "rows targets"]
    returns: Float[Tensor, "rows targets"]

    def select(self, rows: Int[Tensor, " rows"]) -> Experience:
        """Return these rows, cut to the longest of them."""
        batch = self.batch.select(rows)
        width = batch.response_mask.shape[1]
        rest = (self.learned, self.log_probs, self.values, self.advantages, self.returns)
        return Experience(batch, *(tensor[rows, :width] for tensor in rest))


def optimize(
    policy: Policy,
    problems: Sequence[Problem],
    config: PPOConfig,
    log: StepLog,
    reward_fn: RewardFunction | None = None,
    validation: Sequence[Problem] = (),
) -> dict[str, Any]:
    """Train for `num_steps` rounds of rolling out and updating; without `reward_fn`, Loam's answer line is rewarded.

    Returns the facts of the evaluations on the `validation` problems, empty without `evaluate_every`.

    Raises:
        InputError: none of the responses of the first `patience` steps, or of a shorter run, earned a reward.
    """
    reward_fn = reward_fn or partial(answer_line_reward, format_reward=config.format_reward)
    model = policy.model
    reference = copy.deepcopy(model).eval().requires_grad_(False) if config.kl_weight else None
    critic = ValueModel(copy.deepcopy(model))
    generation = GenerationConfig(max_new_tokens=config.max_new_tokens, temperature=config.temperature)
    tuner = Tuner(model, config, policy.replay, critic, config.value_rate)
    evaluations = Validation(policy, validation, config, reward_fn)
    tuner.parts = {"validation": evaluations}
    done = log.resume(tuner)
    rewarded = any(row["reward"] for row in log.rows)
    kl_weight = log.rows[-1]["next_kl_weight"] if log.rows else config.kl_weight
    batches = islice(shuffled_batches(len(problems), config.batch_size, config.seed), done, None)
    for step in track(range(done + 1, config.num_steps + 1), "ppo", total=config.num_steps - done, unit="step"):
        seed = (config.seed * 1_000_003 + step) % 2**63
        rollouts = roll_out(
            model.eval(),
            policy.tokenizer,
            [problems[i] for i in next(batches)],
            generation,
            group_size=config.group_size,
            reward_fn=reward_fn,
            seed=seed,
        )
        rewarded = rewarded or bool(rollouts.rewards.any())
        if step == min(config.patience, config.num_steps) and not rewarded:
            raise without_reward(step, rollouts)
        experience, numbers = experience_of(rollouts, critic.eval(), reference, kl_weight, config)
        updates = [
            accumulate_gradients(model.train(), critic.train(), experience.select(rows), config, step) | tuner.step()
            for rows in _parts(len(experience.returns), config, seed)
        ]
        if config.kl_target and reference is not None:
            numbers["next_kl_weight"] = adapted_kl_weight(
                kl_weight,
                numbers["response_kl"],
                config.kl_target,
                num_samples=len(experience.returns),
                horizon=config.kl_horizon,
            )
        numbers |= update_numbers(updates)
        log(step, {**rollout_numbers(rollouts), **numbers, **evaluations.after(step)})
        kl_weight = numbers["next_kl_weight"]
    return evaluations.finish()


@torch.no_grad()
def experience_of(
    rollouts: Rollouts, critic: ValueModel, reference: TransformerLM | None, kl_weight: float, config: PPOConfig
) -> tuple[Experience, dict[str, float]]:
    """Return the experience of rollouts, and figures: the KL of a token and of a response from the reference, and the
    share of the returns' variance that the values explain.
    """
    batch, mask = rollouts.batch, rollouts.batch.response_mask
    chunks = torch.arange(len(mask), device=mask.device).split(config.microbatch_size)
    values, kl = torch.zeros_like(rollouts.log_probs), torch.zeros_like(rollouts.log_probs)
    for rows in chunks:
        part = batch.select(rows)
        width = part.response_mask.shape[1]
        values[rows, :width] = critic(part).to(values.dtype)
        if reference is not None:
            anchor = batch_log_probs(reference, part, config.temperature)
            kl[rows, :width] = kl_estimate(rollouts.log_probs[rows, :width], anchor, "k1")
    rewards = -kl_weight * kl
    rewards[torch.arange(len(mask), device=mask.device), batch.lengths() - 1] += rollouts.rewards.flatten()
    advantages, returns = generalized_advantages(
        rewards, values, mask, discount=config.discount, decay=config.gae_lambda
    )
    numbers = {
        "kl": masked_mean(kl, mask).item(),
        "response_kl": kl.sum().item() / len(mask),
        "kl_weight": kl_weight,
        "next_kl_weight": kl_weight,
        "explained_variance": _explained(values[mask], returns[mask]),
    }
    learned = rollouts.loss_mask(config.mask_truncated)
    return Experience(batch, learned, rollouts.log_probs, values, whitened(advantages, learned), returns), numbers


def accumulate_gradients(
    model: TransformerLM, critic: ValueModel, experience: Experience, config: PPOConfig, step: int
) -> dict[str, float]:
    """Add the gradients of both losses over these responses, one microbatch at a time.

    Returns both losses, and means over the tokens that were learned from; these are missing where there were none.
    """
    mask = experience.learned
    weights, num_tokens = token_weights(mask, "token", config.max_new_tokens), mask.sum().clamp_min(1)
    totals: defaultdict[str, float] = defaultdict(float)
    ordered = experience.batch.lengths().argsort(stable=True)
    for rows in ordered[mask[ordered].any(dim=1)].split(config.microbatch_size):
        if not len(rows):  # no response has a token to learn from
            break
        part = experience.select(rows)
        inside = part.learned
        share = len(rows) / len(mask)
        loss, found = grpo_microbatch_step(
            batch_log_probs(model, part.batch, config.temperature),
            inside,
            part.advantages,
            weights[rows, : inside.shape[1]],
            old_log_probs=part.log_probs,
            clip_low=config.clip_low,
            clip_high=config.clip_high,
            added_loss=model.auxiliary_loss() * share,
        )
        mean = clipped_value_loss(critic(part.batch), part.values, part.returns, inside, config.value_clip)
        value_loss = mean * (inside.sum() / num_tokens)
        (value_loss + critic.backbone.auxiliary_loss() * share).backward()
        check_finite(loss + value_loss.detach(), step)
        totals["loss"] += loss.item()
        totals["value_loss"] += value_loss.item()
        for name, value in found.items():
            totals[name] += value.item()
    losses = {name: totals[name] for name in ("loss", "value_loss")}
    if not (count := totals["num_tokens"]):
        return losses
    means = {"clipped_share": "clipped", "ratio": "ratio", "log_prob_gap": "log_prob_gap"}
    return losses | {name: totals[total] / count for name, total in means.items()}


def _parts(num_rows: int, config: PPOConfig, seed: int) -> Iterator[Int[Tensor, " rows"]]:
    """Yield the rows of each update: every epoch in another order."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(config.epochs):
        yield from torch.randperm(num_rows, generator=generator).tensor_split(config.updates_per_epoch)


def _explained(values: Float[Tensor, " tokens"], returns: Float[Tensor, " tokens"]) -> float:
    """Return 1 − Var(R − V) / Var(R); 0 where all returns are equal."""
    variance = returns.var(correction=0)
    return (1 - (returns - values).var(correction=0) / variance).item() if variance > 0 else 0.0
