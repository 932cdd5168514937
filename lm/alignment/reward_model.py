"""A Bradley–Terry reward model: one number for a response to a prompt, learned from pairs.

    p(chosen over rejected) = σ( r(chosen) − r(rejected) ),   loss = − log σ( r(chosen) − r(rejected) )

r is a linear head on the stream at the response's stop token. The head starts at 0, so the first loss is ln 2. Sources:
Bradley and Terry 1952; Ouyang et al. 2022, arXiv:2203.02155, eq. 1. Only differences of r have a meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from lm.alignment.config import RewardModelConfig
from lm.alignment.dpo import encode_pairs
from lm.alignment.lengths import LengthLimit
from lm.alignment.policy import Report, StepLog, check_finite, silent
from lm.alignment.preferences import Pair
from lm.alignment.scalar_head import ScalarHead
from lm.alignment.sequences import pad, shuffled_batches
from lm.alignment.stage_checkpoint import StageCheckpoint, StageState
from lm.chat.records import Preference, of_split, read_records
from lm.chat.template import ChatExample
from lm.code_version import code_digest
from lm.configuration import to_mapping
from lm.errors import NonFiniteError
from lm.model import choose_device, load_model, save_model
from lm.model.files import load_tensors, save_tensors
from lm.progress import track
from lm.storage import Artifact, Publication, fingerprint, make, open_artifact, sha256_of, write_json
from lm.tokenizer import Tokenizer
from lm.training.clipping import clip_gradients
from lm.training.metrics import METRICS, work_folder
from lm.training.optimizers import AdamW
from lm.training.parameter_groups import make_parameter_groups, set_learning_rate
from lm.training.schedule import cosine_schedule
from lm.training.stop import StopSignals

KIND = "reward_model"
HEAD = "reward_head.safetensors"


class RewardModel(ScalarHead):
    """A Transformer with a linear head that is read at the last token."""

    def forward(self, examples: Sequence[ChatExample]) -> Float[Tensor, " examples"]:
        """Return the reward of each exchange, at its last token."""
        batch = pad(examples, self.backbone.device)
        last = batch.lengths()
        counted = torch.arange(batch.ids.shape[1], device=batch.ids.device) <= last[:, None]
        rewards = self.numbers(batch.ids, counted)
        return rewards[torch.arange(len(examples), device=last.device), last]


def bradley_terry_loss(chosen: Float[Tensor, " pairs"], rejected: Float[Tensor, " pairs"]) -> Float[Tensor, " pairs"]:
    """Return − log σ( r(chosen) − r(rejected) ) of each pair."""
    return -F.logsigmoid(chosen - rejected)


def train_reward_model(
    config: RewardModelConfig,
    *,
    model: Path,
    tokenizer: Path,
    preferences: Path,
    output: Path,
    report: Report = silent,
) -> Artifact:
    """Train a reward model that starts from the model at `model` and publish it at `output`.

    `evaluation.json` has the loss and the accuracy (a tie counts half) on the held-out pairs, before and after.

    Raises:
        InputError: a bad line, an empty split, a pair longer than the context, or another tokenizer's model.
        Interrupted: stopped by a signal; nothing is published, and the next call goes on from there.
    """
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    started_from, vocabulary = open_artifact(model), Tokenizer.load(tokenizer)
    inputs = {"model": started_from.digest, "tokenizer": vocabulary.digest, "data": sha256_of(preferences)}
    settings, code, work = to_mapping(config), code_digest(train_reward_model), work_folder(output)
    identity = fingerprint(KIND, settings, inputs, code)
    checkpoint = StageCheckpoint(work, identity)

    def write(publication: Publication) -> None:
        network, _ = load_model(started_from, choose_device(config.device), vocabulary.digest)
        limit = LengthLimit(network.config.context_length, config.too_long)
        records = read_records(Preference, preferences)
        train, heldout = (
            encode_pairs(vocabulary, of_split(records, split, preferences), preferences, limit)
            for split in ("train", "heldout")
        )
        rewards = RewardModel(network)
        before = score_pairs(rewards, heldout)
        place = publication.path / METRICS
        with StopSignals() as signals, StepLog(place, report, signals, checkpoint, work) as log:
            _fit(rewards, train, config, log)
            log.check_signals("after the last step")
        evaluation = {"before": before, "after": score_pairs(rewards, heldout), "too_long": dict(limit.counts)}
        save_model(publication.path, network, vocabulary.digest)
        save_tensors(publication.path / HEAD, {"weight": rewards.head.weight})
        write_json(publication.path / "evaluation.json", evaluation)
        publication.summary.update(evaluation)

    artifact = make(output, write, kind=KIND, config=settings, inputs=inputs, code=code)
    checkpoint.clear()
    return artifact


def load_reward_model(source: Artifact | Path, device: torch.device | str = "cpu") -> RewardModel:
    """Return the reward model that `train_reward_model` published."""
    rewards = RewardModel(load_model(source, device)[0])
    path = source.file(HEAD) if isinstance(source, Artifact) else source / HEAD
    with torch.no_grad():
        rewards.head.weight.copy_(load_tensors(path)["weight"])
    return rewards.eval()


@torch.no_grad()
def score_pairs(rewards: RewardModel, pairs: Sequence[Pair], batch_size: int = 64) -> dict[str, float]:
    """Return the mean `loss`, the `accuracy` (a tie counts half) and the mean `margin` of pairs."""
    rewards.eval()
    parts = [pairs[start : start + batch_size] for start in range(0, len(pairs), batch_size)]
    margins = torch.cat([torch.sub(*_both(rewards, part)) for part in parts])
    accuracy = ((margins > 0).double() + 0.5 * (margins == 0).double()).mean()
    return {
        "loss": (-F.logsigmoid(margins)).mean().item(),
        "accuracy": accuracy.item(),
        "margin": margins.mean().item(),
    }


def _both(rewards: RewardModel, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor]:
    scores = rewards([side for pair in pairs for side in (pair.chosen, pair.rejected)])
    return scores[0::2], scores[1::2]


class _Learner:
    """AdamW over all weights with warm-up, decay and clipping, one `step` at a time."""

    def __init__(self, rewards: RewardModel, config: RewardModelConfig) -> None:
        groups = make_parameter_groups(rewards, config.weight_decay)
        self._optimizer = AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.99))
        self._rewards, self._config, self._step = rewards, config, 0

    def step(self) -> dict[str, float]:
        """Update the weights by the gradients and clear them; return the learning rate and the norm before clipping.

        Raises:
            NonFiniteError: the norm is not finite; the weights are as before.
        """
        config, rewards, step = self._config, self._rewards, self._step + 1
        norm = clip_gradients(rewards.parameters(), config.max_gradient_norm)
        if not torch.isfinite(norm):
            raise NonFiniteError(f"step {step}: gradient norm is {norm.item()}; lower learning_rate")
        final = config.learning_rate * config.final_lr_fraction
        rate = cosine_schedule(step, config.learning_rate, final, config.warmup_steps, config.num_steps)
        set_learning_rate(self._optimizer, rate)
        self._optimizer.step()
        rewards.backbone.balance_experts()
        self._optimizer.zero_grad(set_to_none=True)
        self._step = step
        return {"learning_rate": rate, "gradient_norm": norm.item()}

    def save(self, checkpoint: StageCheckpoint, rows: Sequence[dict[str, Any]]) -> None:
        """Save weights, moments, the step and the log's `rows`."""
        checkpoint.save(self._rewards, self._optimizer, StageState(self._step, None, rows))

    def restore(self, checkpoint: StageCheckpoint) -> list[dict[str, Any]]:
        """Go on from what `save` wrote, if there is any; return the rows of the log."""
        state = checkpoint.load(self._rewards, self._optimizer)
        if state is None:
            return []
        self._step = state.updates
        return list(state.rows)


def _fit(rewards: RewardModel, pairs: Sequence[Pair], config: RewardModelConfig, log: StepLog) -> None:
    """Make `num_steps` updates over shuffled epochs of the pairs."""
    rewards.train()
    learner = _Learner(rewards, config)
    done = log.resume(learner)
    batches = islice(shuffled_batches(len(pairs), config.batch_size, config.seed), done, config.num_steps)
    for step, indices in enumerate(
        track(batches, "reward", total=config.num_steps - done, unit="step"), start=done + 1
    ):
        chosen, rejected = _both(rewards, [pairs[i] for i in indices])
        loss = bradley_terry_loss(chosen, rejected).mean()
        check_finite(loss, step)
        (loss + rewards.backbone.auxiliary_loss()).backward()
        accuracy = (chosen > rejected).float().mean().item()
        log(step, {"loss": loss.item(), "accuracy": accuracy, **learner.step()})
