"""Rollouts: sampled responses with their rewards, in groups of one problem each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from lm.alignment.advantages import have_equal_rewards
from lm.alignment.config import RolloutConfig
from lm.alignment.lengths import with_room
from lm.alignment.policy import Outcome, Policy
from lm.alignment.sequences import SequenceBatch, pad
from lm.alignment.validation import split_off
from lm.chat.records import Problem, of_split, read_records
from lm.chat.template import ChatExample, encode_prompt, end_id
from lm.errors import InputError
from lm.evaluation.answers import JudgedAnswer, answer_rates, answer_rewards, judge
from lm.inference.engine import GenerationConfig, generate
from lm.model import TransformerLM
from lm.rewards.functions import RewardFunction
from lm.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Responses, `group` of them in a row for each problem."""

    batch: SequenceBatch
    log_probs: Float[Tensor, "rows targets"]
    """Under the policy and temperature that drew them; 0 outside the responses."""
    rewards: Float[Tensor, "problems group"]
    answers: list[JudgedAnswer]

    def loss_mask(self, without_truncated: bool) -> Bool[Tensor, "rows targets"]:
        """Return the response tokens; on request without those of responses that did not end."""
        if not without_truncated:
            return self.batch.response_mask
        finished = torch.tensor([answer.finished for answer in self.answers], device=self.batch.ids.device)
        return self.batch.response_mask & finished[:, None]

    @property
    def num_with_signal(self) -> int:
        """Groups whose rewards differ: only they move the policy."""
        return int((~have_equal_rewards(self.rewards)).sum())

    def split(self, num_parts: int) -> list[Rollouts]:
        """Return the problems in `num_parts` parts as even as can be, each with its whole groups."""
        group_size = self.rewards.shape[1]
        parts = []
        for problems in torch.arange(self.rewards.shape[0], device=self.rewards.device).tensor_split(num_parts):
            rows = (problems[:, None] * group_size + torch.arange(group_size, device=problems.device)).flatten()
            batch = self.batch.select(rows)
            log_probs = self.log_probs[rows, : batch.response_mask.shape[1]]
            parts.append(Rollouts(batch, log_probs, self.rewards[problems], [self.answers[i] for i in rows.tolist()]))
        return parts


def joined(parts: Sequence[Rollouts]) -> Rollouts:
    """Return the problems of all parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    width = max(part.log_probs.shape[1] for part in parts)
    padded = [
        (F.pad(p.batch.ids, (0, more)), F.pad(p.batch.response_mask, (0, more)), F.pad(p.log_probs, (0, more)))
        for p in parts
        for more in [width - p.log_probs.shape[1]]
    ]
    ids, masks, log_probs = (torch.cat(each) for each in zip(*padded, strict=True))
    answers = [answer for part in parts for answer in part.answers]
    return Rollouts(SequenceBatch(ids, masks), log_probs, torch.cat([part.rewards for part in parts]), answers)


def roll_out(
    model: TransformerLM,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    generation: GenerationConfig,
    *,
    group_size: int,
    reward_fn: RewardFunction,
    seed: int,
) -> Rollouts:
    """Draw `group_size` responses to each problem and reward them; one that was cut off has the reward 0.

    Raises:
        InputError: the reward function gave something else than a finite reward.
    """
    prompts = [encode_prompt(tokenizer, problem.prompt) for problem in problems]
    groups = generate(model, prompts, generation, stop_ids={end_id(tokenizer)}, num_samples=group_size, seed=seed)
    examples, answers, drawn = [], [], []
    for problem, prompt, group in zip(problems, prompts, groups, strict=True):
        for completion in group:
            examples.append(ChatExample([*prompt, *completion.token_ids], len(prompt)))
            answers.append(judge(tokenizer, problem, completion))
            drawn += completion.log_probs
    rewards = answer_rewards(answers, reward_fn)
    batch = pad(examples, model.device)
    log_probs = torch.zeros(batch.response_mask.shape, device=model.device)
    log_probs = log_probs.masked_scatter(batch.response_mask, torch.tensor(drawn, device=model.device))
    shaped = torch.tensor(rewards, device=model.device).view(len(problems), group_size)
    return Rollouts(batch, log_probs, shaped, answers)


def rollout_numbers(rollouts: Rollouts) -> dict[str, float]:
    """Return what a step's log says of its responses."""
    rates = answer_rates(rollouts.answers)
    mask = rollouts.batch.response_mask
    return {
        "reward": rollouts.rewards.mean().item(),
        "verified_rate": rates.verified_rate,
        "well_formed_rate": rates.well_formed_rate,
        "truncated_share": fmean(not answer.finished for answer in rollouts.answers),
        "zero_std_share": have_equal_rewards(rollouts.rewards).float().mean().item(),
        "response_tokens": mask.sum().item() / mask.shape[0],
        # The mean surprise of drawn tokens estimates the policy's entropy, in nats per token.
        "entropy": -rollouts.log_probs.sum().item() / mask.sum().item(),
    }


def update_numbers(updates: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return what a step's log says of its updates: the mean of each number over all that have it.

    `sampler_gap` is the first one's `log_prob_gap`, in nats per token. That update's policy is the one that drew the
    responses, so the gap is what sampler and trainer differ by; the mean over all has the policy's movement too. An
    update without a token to learn from has no gap.
    """
    names = dict.fromkeys(name for update in updates for name in update)
    means = {name: fmean(update[name] for update in updates if name in update) for name in names}
    gap = updates[0].get("log_prob_gap")
    return means if gap is None else means | {"sampler_gap": gap}


def without_reward(step: int, rollouts: Rollouts) -> InputError:
    """Return the error of a run whose responses earned no reward up to this step: there is nothing to learn from."""
    return InputError(
        f"no response earned a reward in the first {step} steps of {rollouts.rewards.numel()} responses; "
        "expected a model that answers some problems correctly"
    )


def learn_problems(
    policy: Policy,
    path: Path,
    config: RolloutConfig,
    learn: Callable[[list[Problem], list[Problem]], dict[str, Any]],
) -> Outcome:
    """Run `learn` on the training problems of a file, and evaluate the policy on held-out ones before and after.

    Problems whose prompts leave no room for an answer are left out and counted.

    Args:
        learn: takes the training problems and the validation problems, which the evaluations before and after leave
            out; returns what it adds to the evaluation.

    Raises:
        InputError: a bad line, an empty split, a prompt that leaves no room, where `too_long` is to refuse, or none
        does; or no problem beside those of the validation.
    """
    records = read_records(Problem, path)
    judges, validation = split_off(of_split(records, "heldout", path), config, path)
    room = policy.model.config.context_length - config.max_new_tokens
    (train, no_room), (judges, no_room_judges), (validation, no_room_validation) = (
        with_room(policy.tokenizer, part, room, config.too_long, path) if part else ([], 0)
        for part in (of_split(records, "train", path), judges, validation)
    )
    before, _ = policy.evaluate(judges, config)
    added = learn(train, validation)
    rates, answers = policy.evaluate(judges, config)
    counts = {
        "num_train_problems": len(train),
        "too_long": {"left_out": no_room + no_room_judges + no_room_validation},
    }
    return Outcome({"before": before, **rates, **counts, **added}, answers)
