"""Group-relative policy optimization: sample answers, verify them, make the better ones of each group more likely.

For each token t of response i, with advantage A_i of its group and ratio r = π(token) / π_old(token):

    J = min( r · A_i, clip(r, 1 − ε_low, 1 + ε_high) · A_i ) − kl_weight · ( π_ref/π − log(π_ref/π) − 1 )

The loss is − J, summed over the tokens and divided as `normalization` says:
    token      by all response tokens of the batch       (DAPO: Yu et al. 2025, arXiv:2503.14476, eq. 8)
    sequence   by each response's own length, then mean  (GRPO: Shao et al. 2024, arXiv:2402.03300, eq. 3)
    constant   by responses × max_new_tokens             (Dr. GRPO: Liu et al. 2025, arXiv:2503.20783)

The reference is the model that training starts from. Where no KL term needs them, groups whose rewards are all equal
are left out of the forward pass: their advantage is 0, and the divisor still counts them, so the gradient is the
same.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lm.alignment.config import GRPOConfig, Normalization
from lm.alignment.policy import (
    Outcome,
    Policy,
    Report,
    StepLog,
    Tuner,
    check_finite,
    silent,
    tune_to_artifact,
)
from lm.alignment.rollouts import Rollouts, group_advantages, have_equal_rewards, roll_out
from lm.alignment.sequences import shuffled_batches
from lm.alignment.shared_prompt import group_log_probs
from lm.chat.records import Problem, of_split, read_records
from lm.chat.template import encode_prompt
from lm.errors import InputError
from lm.evaluation.answers import answer_rates
from lm.inference.engine import GenerationConfig
from lm.model import TransformerLM
from lm.progress import track
from lm.storage import Artifact


def train_grpo(
    config: GRPOConfig, *, model: Path, tokenizer: Path, problems: Path, output: Path, report: Report = silent
) -> Artifact:
    """Tune the model at `model` on the training part of `problems` and publish it at `output`.

    `evaluation.json` has the rates of well-formed and verified answers to the held-out problems, greedy and sampled:
    `before`, and after at the top level.

    Raises:
        InputError: a bad line, an empty split, a prompt that leaves no room in the context, or another tokenizer's
        model.
    """

    def tune(policy: Policy, log: StepLog) -> Outcome:
        records = read_records(Problem, problems)
        train, heldout = (of_split(records, split, problems) for split in ("train", "heldout"))
        _check_room(policy, train + heldout, config, problems)
        before, _ = policy.evaluate(heldout, config)
        reinforce(policy, train, config, log)
        rates, answers = policy.evaluate(heldout, config)
        evaluation: dict[str, Any] = {"before": before, **rates, "num_train_problems": len(train)}
        return Outcome(evaluation, answers)

    return tune_to_artifact(
        "grpo", config, tune, model=model, tokenizer=tokenizer, data=problems, output=output, report=report
    )


def reinforce(policy: Policy, problems: Sequence[Problem], config: GRPOConfig, log: StepLog) -> None:
    """`num_steps` rounds of rolling out and updating."""
    model = policy.model
    reference = copy.deepcopy(model).eval().requires_grad_(False) if config.kl_weight else None
    generation = GenerationConfig(max_new_tokens=config.max_new_tokens, temperature=config.temperature)
    tuner = Tuner(model, config)
    batches = islice(shuffled_batches(len(problems), config.batch_size, config.seed), config.num_steps)
    for step, indices in enumerate(track(batches, "grpo", total=config.num_steps, unit="step"), start=1):
        rollouts = roll_out(
            model.eval(),
            policy.tokenizer,
            [problems[i] for i in indices],
            generation,
            group_size=config.group_size,
            format_reward=config.format_reward,
            seed=(config.seed * 1_000_003 + step) % 2**63,
        )
        numbers = _rollout_numbers(rollouts)
        for part in rollouts.split(config.updates_per_rollout):
            numbers |= _accumulate_gradients(model.train(), reference, part, config, step)
            numbers |= tuner.step()
        log(step, numbers)


def grpo_loss(
    log_probs: Float[Tensor, "rows targets"],
    old_log_probs: Float[Tensor, "rows targets"],
    advantages: Float[Tensor, " rows"],
    mask: Bool[Tensor, "rows targets"],
    *,
    clip_low: float,
    clip_high: float,
    reference_log_probs: Float[Tensor, "rows targets"] | None = None,
    kl_weight: float = 0.0,
) -> Float[Tensor, "rows targets"]:
    """− J of every response token, 0 elsewhere; the caller sums and divides."""
    ratio = torch.exp(log_probs - old_log_probs)
    clipped = ratio.clamp(1.0 - clip_low, 1.0 + clip_high)
    loss = -torch.minimum(ratio * advantages[:, None], clipped * advantages[:, None])
    if reference_log_probs is not None:
        difference = reference_log_probs - log_probs
        loss = loss + kl_weight * (torch.exp(difference) - difference - 1.0)
    return loss.masked_fill(~mask, 0.0)


def token_weights(
    mask: Bool[Tensor, "rows targets"], normalization: Normalization, max_new_tokens: int
) -> Float[Tensor, "rows targets"]:
    """Return the weight of each token's loss, so that the sum over the batch is the normalized loss; 0 outside the
    responses."""
    num_rows, lengths = mask.shape[0], mask.sum(dim=1, keepdim=True)
    divisors = {
        "token": lengths.sum().expand_as(lengths),
        "sequence": lengths * num_rows,
        "constant": torch.full_like(lengths, num_rows * max_new_tokens),
    }
    return mask / divisors[normalization]


def _accumulate_gradients(
    model: TransformerLM, reference: TransformerLM | None, rollouts: Rollouts, config: GRPOConfig, step: int
) -> dict[str, float]:
    """Gradients of the whole batch's loss, one microbatch of groups at a time."""
    advantages = group_advantages(rollouts.rewards, divide_by_std=config.divide_by_std)
    advantages = torch.where(advantages < 0, config.negative_weight * advantages, advantages)
    weights = token_weights(rollouts.batch.response_mask, config.normalization, config.max_new_tokens)
    total = clipped = 0.0
    for rows in _microbatches(rollouts, advantages, config, keep_all=reference is not None):
        batch = rollouts.batch.select(rows)
        width = batch.response_mask.shape[1]
        old = rollouts.log_probs[rows, :width]
        log_probs = group_log_probs(model, batch, config.group_size, config.temperature)
        with torch.no_grad():
            anchor = (
                None if reference is None else group_log_probs(reference, batch, config.group_size, config.temperature)
            )
        losses = grpo_loss(
            log_probs,
            old,
            advantages.flatten()[rows],
            batch.response_mask,
            clip_low=config.clip_low,
            clip_high=config.clip_high,
            reference_log_probs=anchor,
            kl_weight=config.kl_weight,
        )
        loss = (losses * weights[rows, :width]).sum()
        check_finite(loss, step)
        (loss + model.auxiliary_loss() * (len(rows) / len(rollouts.rewards.flatten()))).backward()
        total += loss.item()
        ratio = torch.exp(log_probs.detach() - old)
        rising = (advantages.flatten()[rows] > 0)[:, None]
        falling = (advantages.flatten()[rows] < 0)[:, None]
        # Only where the minimum takes the clipped side; elsewhere the gradient is whole.
        clipped += ((falling & (ratio < 1 - config.clip_low)) | (rising & (ratio > 1 + config.clip_high))).sum().item()
    return {"loss": total, "clipped_share": clipped / rollouts.batch.response_mask.sum().item()}


def _microbatches(
    rollouts: Rollouts, advantages: Float[Tensor, "problems group"], config: GRPOConfig, *, keep_all: bool
) -> Iterator[Int[Tensor, " rows"]]:
    """Rows of whole groups, those of like length together so that little is padded.

    Groups whose advantages are all 0 are left out unless `keep_all`.
    """
    problems, group = advantages.shape
    wanted = torch.ones(problems, dtype=torch.bool) if keep_all else (advantages != 0).any(dim=1).cpu()
    longest = rollouts.batch.lengths().view(problems, group).amax(dim=1).cpu()
    ordered = [i for i in longest.argsort(stable=True).tolist() if wanted[i]]
    groups_at_once = max(1, config.microbatch_size // group)
    for start in range(0, len(ordered), groups_at_once):
        chosen = torch.tensor(ordered[start : start + groups_at_once], device=advantages.device)
        yield (chosen[:, None] * group + torch.arange(group, device=advantages.device)).flatten()


def _rollout_numbers(rollouts: Rollouts) -> dict[str, float]:
    rates = answer_rates(rollouts.answers)
    mask = rollouts.batch.response_mask
    return {
        "reward": rollouts.rewards.mean().item(),
        "verified_rate": rates.verified_rate,
        "well_formed_rate": rates.well_formed_rate,
        "zero_std_share": have_equal_rewards(rollouts.rewards).float().mean().item(),
        "response_tokens": mask.sum().item() / mask.shape[0],
        # The mean surprise of drawn tokens estimates the policy's entropy, in nats a token.
        "entropy": -rollouts.log_probs.sum().item() / mask.sum().item(),
    }


def _check_room(policy: Policy, problems: Sequence[Problem], config: GRPOConfig, path: Path) -> None:
    room = policy.model.config.context_length - config.max_new_tokens
    for problem in problems:
        length = len(encode_prompt(policy.tokenizer, problem.prompt))
        if length > room:
            raise InputError(
                f"{path}: id '{problem.id}' is {length} tokens, expected at most {room}: context less max_new_tokens"
            )
