"""Group-relative policy optimization: sample answers, verify them, make the better ones of each group more likely.

The loss of a token is `policy_losses.policy_gradient_loss` with the advantage of its response within its group, plus
`kl_weight` times the KL from the model that training starts from. It is summed over the tokens and divided as
`normalization` says:
    token      by all response tokens of the batch       (DAPO: Yu et al. 2025, arXiv:2503.14476, eq. 8)
    sequence   by each response's own length, then mean  (GRPO: Shao et al. 2024, arXiv:2402.03300, eq. 3)
    constant   by responses × max_new_tokens             (Dr. GRPO: Liu et al. 2025, arXiv:2503.20783)

docs/alignment.md lists the settings of each published variant. Where no KL term needs them, groups whose advantages
are all 0 are left out of the forward pass: the divisor still counts them, so the gradient is the same.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lm.alignment.advantages import group_advantages
from lm.alignment.config import GRPOConfig
from lm.alignment.curriculum import make_order
from lm.alignment.masked import masked_sum
from lm.alignment.microbatches import grpo_microbatch_step
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
from lm.alignment.policy_losses import kl_estimate, token_weights
from lm.alignment.rollouts import (
    Rollouts,
    joined,
    learn_problems,
    roll_out,
    rollout_numbers,
    update_numbers,
    without_reward,
)
from lm.alignment.shared_prompt import group_log_probs
from lm.alignment.validation import Validation
from lm.chat.records import Problem
from lm.inference.engine import GenerationConfig
from lm.model import TransformerLM
from lm.progress import track
from lm.rewards.answer_line import answer_line_reward
from lm.rewards.functions import RewardFunction
from lm.storage import Artifact


def train_grpo(
    config: GRPOConfig,
    *,
    model: Path,
    tokenizer: Path,
    problems: Path,
    output: Path,
    shards: Path | None = None,
    report: Report = silent,
) -> Artifact:
    """Tune the model at `model` on the training part of `problems` and publish it at `output`.

    `evaluation.json` has the rates of well-formed and verified answers to the held-out problems, greedy and sampled:
    `before`, and after at the top level.

    Raises:
        InputError: a bad line, an empty split, a prompt that leaves no room in the context, or another tokenizer's
        model.
    """

    def tune(policy: Policy, log: StepLog) -> Outcome:
        def learn(train: list[Problem], validation: list[Problem]) -> dict[str, Any]:
            return reinforce(policy, train, config, log, validation=validation)

        return learn_problems(policy, problems, config, learn)

    return tune_to_artifact(
        "grpo",
        config,
        tune,
        model=model,
        tokenizer=tokenizer,
        data=problems,
        output=output,
        shards=shards,
        report=report,
    )


def reinforce(
    policy: Policy,
    problems: Sequence[Problem],
    config: GRPOConfig,
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
    generation = GenerationConfig(max_new_tokens=config.max_new_tokens, temperature=config.temperature)
    tuner = Tuner(model, config, policy.replay)
    order, evaluations = make_order(config, len(problems)), Validation(policy, validation, config, reward_fn)
    tuner.parts = {"order": order, "validation": evaluations}
    done = log.resume(tuner)
    rewarded = any(row["reward"] for row in log.rows)
    drawn = sum(int(row["draws"]) for row in log.rows)
    for step in track(range(done + 1, config.num_steps + 1), "grpo", total=config.num_steps - done, unit="step"):
        parts: list[Rollouts] = []
        while _wants_more(parts, config):
            drawn += 1
            chosen = order.draw(drawn)
            part = roll_out(
                model.eval(),
                policy.tokenizer,
                [problems[i] for i in chosen],
                generation,
                group_size=config.group_size,
                reward_fn=reward_fn,
                seed=(config.seed * 1_000_003 + drawn) % 2**63,
            )
            order.note(chosen, part.rewards)
            parts.append(part)
        rollouts = joined(parts)
        rewarded = rewarded or bool(rollouts.rewards.any())
        if step == min(config.patience, config.num_steps) and not rewarded:
            raise without_reward(step, rollouts)
        updates = [
            accumulate_policy_gradients(model.train(), reference, part, config, step) | tuner.step()
            for _ in range(config.epochs)
            for part in rollouts.split(config.updates_per_rollout)
        ]
        numbers = update_numbers(updates)
        numbers |= {"draws": len(parts), **order.numbers(), **evaluations.after(step)}
        log(step, rollout_numbers(rollouts) | numbers)
    return evaluations.finish()


def _wants_more(parts: Sequence[Rollouts], config: GRPOConfig) -> bool:
    """Return whether a step draws a further batch: too few groups have a signal, and it may draw more."""
    with_signal = sum(part.num_with_signal for part in parts)
    return not parts or (len(parts) < config.most_draws and with_signal < config.signal_floor * config.batch_size)


def accumulate_policy_gradients(
    model: TransformerLM, reference: TransformerLM | None, rollouts: Rollouts, config: GRPOConfig, step: int
) -> dict[str, float]:
    """Add the gradients of the whole batch's loss, one microbatch of groups at a time.

    Returns the loss, and means over the tokens that were learned from; these are missing where there were none.
    """
    advantages = group_advantages(rollouts.rewards, config.baseline, config.normalizer)
    advantages = torch.where(advantages < 0, config.negative_weight * advantages, advantages)
    learned = rollouts.loss_mask(config.mask_truncated)
    weights = token_weights(learned, config.normalization, config.max_new_tokens)
    totals: defaultdict[str, float] = defaultdict(float)
    for rows in _microbatches(rollouts, advantages, config, keep_all=reference is not None):
        batch = rollouts.batch.select(rows)
        width = batch.response_mask.shape[1]
        inside, old = learned[rows, :width], rollouts.log_probs[rows, :width]
        by_token = advantages.flatten()[rows, None]
        penalty = None
        log_probs = group_log_probs(model, batch, config.group_size, config.temperature)
        if reference is not None:
            with torch.no_grad():
                anchor = group_log_probs(reference, batch, config.group_size, config.temperature)
            totals["kl"] += masked_sum(kl_estimate(old, anchor, "k3"), inside).item()
            if config.kl_estimator == "k1":
                by_token = by_token - config.kl_weight * kl_estimate(old, anchor, "k1")
            else:
                penalty = config.kl_weight * kl_estimate(log_probs, anchor, config.kl_estimator)
        loss, found = grpo_microbatch_step(
            log_probs,
            inside,
            by_token,
            weights[rows, :width],
            method=config.method,
            old_log_probs=old,
            clip_low=config.clip_low,
            clip_high=config.clip_high,
            penalty=penalty,
            added_loss=model.auxiliary_loss() * (len(rows) / len(rollouts.rewards.flatten())),
        )
        check_finite(loss, step)
        totals["loss"] += loss.item()
        for name, value in found.items():
            totals[name] += value.item()
    if not (num_tokens := totals["num_tokens"]):
        return {"loss": totals["loss"]}
    return {
        "loss": totals["loss"],
        "clipped_share": totals["clipped"] / num_tokens,
        "ratio": totals["ratio"] / num_tokens,
        "log_prob_gap": totals["log_prob_gap"] / num_tokens,
        **({} if reference is None else {"kl": totals["kl"] / num_tokens}),
    }


def _microbatches(
    rollouts: Rollouts, advantages: Float[Tensor, "problems group"], config: GRPOConfig, *, keep_all: bool
) -> Iterator[Int[Tensor, " rows"]]:
    """Yield rows of whole groups, those of like length together so that little is padded.

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
