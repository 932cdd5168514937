"""Direct preference optimization: raise the chosen response over the rejected one, measured against a frozen reference.

    loss = − log σ( β · [ (log π(y_w|x) − log π_ref(y_w|x)) − (log π(y_l|x) − log π_ref(y_l|x)) ] )

Source: Rafailov et al. 2023 (arXiv:2305.18290), eq. 7. On request plus `sft_weight` times the mean negative log-
likelihood of the chosen response, as in RPO (Pang et al. 2024, arXiv:2404.19733, eq. 1): without it DPO may lower
both responses as long as the rejected one falls faster.

The reference is the model that training starts from; its log-probabilities are computed once and stored
(`lm.alignment.reference`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from lm.alignment.config import DPOConfig, PreferenceLoss
from lm.alignment.divergence import mean_kl
from lm.alignment.lengths import LengthLimit
from lm.alignment.log_probs import CausalLM, response_log_probs
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
from lm.alignment.preferences import Pair, PairLogProbs, all_pair_log_probs, pair_log_probs, preference_rates
from lm.alignment.reference import reference_log_probs
from lm.alignment.sequences import shuffled_batches
from lm.chat.records import Preference, Problem, of_split, read_records
from lm.chat.template import encode_example
from lm.errors import InputError
from lm.model import load_model
from lm.progress import track
from lm.rewards.answer_line import parse_answer
from lm.storage import Artifact, open_artifact
from lm.tokenizer import Tokenizer
from lm.training.compute import prepare

_SATURATION_STEPS = 10


def train_dpo(
    config: DPOConfig,
    *,
    model: Path,
    tokenizer: Path,
    preferences: Path,
    output: Path,
    shards: Path | None = None,
    reference: Path | None = None,
    report: Report = silent,
) -> Artifact:
    """Tune the model at `model` on the training pairs of `preferences` and publish it at `output`.

    `evaluation.json` has the share of held-out pairs ranked rightly, by implicit reward and by plain log-probability,
    before and after, with margins, log-probabilities of both responses, and `kl`: the mean KL from the reference over
    the tokens of the chosen ones. It also has the rates of well-formed and verified answers to the held-out prompts
    whose chosen response ends in an answer, before and after.

    Args:
        reference: stored log-probabilities of this model and these pairs, made by `lm.alignment.reference` elsewhere.

    Raises:
        InputError: a bad line, an empty split, a pair longer than the context, another tokenizer's model, or a
            reference of another model or other data.
    """

    def tune(policy: Policy, log: StepLog) -> Outcome:
        records = read_records(Preference, preferences)
        limit = policy.length_limit(config)
        train = encode_pairs(policy.tokenizer, of_split(records, "train", preferences), preferences, limit)
        held_records = of_split(records, "heldout", preferences)
        heldout = encode_pairs(policy.tokenizer, held_records, preferences, limit)
        problems = chosen_answers(held_records)
        stored = reference_log_probs(policy, {"train": train, "heldout": heldout}, config, reference)
        held_reference = stored["heldout"]
        evaluation: dict[str, Any] = {"preference": {"before": preference_rates(held_reference, held_reference)}}
        if problems:
            evaluation["before"], _ = policy.evaluate(problems, config)
        optimize_preferences(policy, train, config, log, stored["train"])
        after = all_pair_log_probs(policy.model, heldout)
        moved = _kl_from(model, policy, heldout, config)
        evaluation["preference"]["after"] = preference_rates(after, held_reference) | {"kl": moved}
        rates, answers = policy.evaluate(problems, config) if problems else ({}, [])
        return Outcome(
            {**evaluation, **rates, "num_heldout_pairs": len(heldout), "too_long": dict(limit.counts)}, answers
        )

    return tune_to_artifact(
        "dpo",
        config,
        tune,
        model=model,
        tokenizer=tokenizer,
        data=preferences,
        output=output,
        shards=shards,
        more_inputs={} if reference is None else {"reference": reference},
        report=report,
    )


def _kl_from(model: Path, policy: Policy, pairs: Sequence[Pair], config: DPOConfig) -> float:
    """Return the mean KL of the policy from the model at `model` over the tokens of chosen responses."""
    start, _ = load_model(open_artifact(model), policy.model.device, policy.tokenizer.digest)
    prepare(start, precision=config.precision, compile="off")
    return mean_kl(policy.model.eval(), start.eval(), [pair.chosen for pair in pairs], policy.model.device)


def optimize_preferences(
    policy: Policy, pairs: Sequence[Pair], config: DPOConfig, log: StepLog, reference: PairLogProbs
) -> None:
    """Make `num_steps` updates over shuffled epochs of the pairs, fewer where they are told apart before.

    `reference` has the log-probabilities of the pairs under the model as it comes.
    """
    model = policy.model.train()
    tuner = Tuner(model, config, policy.replay)
    done = log.resume(tuner)
    batches = islice(shuffled_batches(len(pairs), config.batch_size, config.seed), done, config.num_steps)
    for step, indices in enumerate(track(batches, "dpo", total=config.num_steps - done, unit="step"), start=done + 1):
        if _are_told_apart(log.rows, config.saturation):
            break  # more steps would only move the model away from its reference
        scores = pair_log_probs(model, [pairs[i] for i in indices])
        preference_loss = dpo_loss(
            scores,
            reference[indices],
            config.beta,
            loss=config.loss,
            label_smoothing=config.label_smoothing,
            length_normalized=config.length_normalized,
        ).mean()
        chosen_loss = -(scores.chosen / scores.chosen_tokens).mean()
        loss = preference_loss + config.sft_weight * chosen_loss
        check_finite(loss, step)
        (loss + model.auxiliary_loss()).backward()
        rates = preference_rates(scores, reference[indices])
        losses = {"loss": loss.item(), "dpo_loss": preference_loss.item(), "chosen_loss": chosen_loss.item()}
        log(step, {**losses, **rates, **tuner.step()})


def _are_told_apart(rows: Sequence[Mapping[str, Any]], saturation: float) -> bool:
    """Return whether the mean preference loss of the last steps is below the limit."""
    recent = [row["dpo_loss"] for row in rows[-_SATURATION_STEPS:]]
    return len(recent) == _SATURATION_STEPS and fmean(recent) < saturation


def dpo_loss(
    policy: PairLogProbs,
    reference: PairLogProbs,
    beta: float,
    *,
    loss: PreferenceLoss = "sigmoid",
    label_smoothing: float = 0.0,
    length_normalized: bool = False,
) -> Float[Tensor, " pairs"]:
    """Return the loss of each pair by its margin m; ln 2 for the sigmoid loss where policy and reference agree.

        sigmoid   − (1 − ε) log σ(β m) − ε log σ(− β m)    ε = label_smoothing; 0 is DPO's eq. 7
        ipo       (m − 1 / (2 β))²                         Azar et al. 2023, arXiv:2310.12036, eq. 17
        hinge     max(0, 1 − β m)                          Zhao et al. 2023, arXiv:2305.10425

    The smoothed loss is that of Mitchell 2023 (cDPO). `length_normalized` takes the margin of mean log-probabilities.
    """
    if length_normalized:
        policy, reference = policy.per_token(), reference.per_token()
    margins = (policy.chosen - reference.chosen) - (policy.rejected - reference.rejected)
    if loss == "ipo":
        return (margins - 1 / (2 * beta)) ** 2
    if loss == "hinge":
        return F.relu(1 - beta * margins)
    right, swapped = F.logsigmoid(beta * margins), F.logsigmoid(-beta * margins)
    return -(1 - label_smoothing) * right - label_smoothing * swapped


def dpo_loss_of_pair(
    model: CausalLM,
    reference: CausalLM,
    prompt_ids: Int[Tensor, " prompt"],
    chosen_ids: Int[Tensor, " chosen"],
    rejected_ids: Int[Tensor, " rejected"],
    beta: float = 0.1,
) -> Float[Tensor, ""]:
    """Return DPO's loss (eq. 7) of one pair of responses to a prompt, under any models; gradients flow into `model`.

    The responses hold their stop token. Each is scored alone after the prompt, so nothing is padded.
    """
    responses = (chosen_ids, rejected_ids)
    policy = PairLogProbs(*_totals(model, prompt_ids, responses))
    with torch.no_grad():
        anchor = PairLogProbs(*_totals(reference, prompt_ids, responses))
    return dpo_loss(policy, anchor, beta).squeeze(0)


def _totals(model: CausalLM, prompt_ids: Tensor, responses: Sequence[Tensor]) -> list[Tensor]:
    """Return Σ log p(response | prompt) of each response, then each one's number of tokens."""
    totals = []
    for response in responses:
        ids = torch.cat([prompt_ids, response])[None]
        log_probs = response_log_probs(model, ids[:, :-1], ids[:, 1:])["log_probs"]
        totals.append(log_probs[:, len(prompt_ids) - 1 :].sum(dim=1))
    return totals + [total.new_tensor([len(response)]) for total, response in zip(totals, responses, strict=True)]


def chosen_answers(preferences: Sequence[Preference]) -> list[Problem]:
    """Return the prompts whose chosen response ends in an answer, as problems, each prompt once."""
    problems: dict[str, Problem] = {}
    for item in preferences:
        answer = parse_answer(item.chosen)
        if answer is not None and not item.context:
            problems.setdefault(item.prompt, Problem(id=item.id, prompt=item.prompt, answer=answer, split=item.split))
    return list(problems.values())


def encode_pairs(tokenizer: Tokenizer, preferences: Sequence[Preference], path: Path, limit: LengthLimit) -> list[Pair]:
    """Return the preferences as chats whose two sides fit the limit.

    Raises:
        InputError: a side is too long, where the limit refuses it; both sides are the same; or no pair is left.
    """
    pairs = []
    for item in preferences:
        if item.chosen == item.rejected:
            raise InputError(f"{path}: id '{item.id}' has the same text in 'chosen' and 'rejected'")
        place = f"{path}: id '{item.id}'"
        encoded = (encode_example(tokenizer, item.prompt, text, item.context) for text in (item.chosen, item.rejected))
        chosen, rejected = (limit.fit(side, place) for side in encoded)
        if chosen is not None and rejected is not None:
            pairs.append(Pair(chosen, rejected))
    if not pairs:
        raise InputError(f"{path}: none of {len(preferences)} pairs fits {limit.longest} tokens")
    return pairs
