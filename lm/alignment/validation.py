"""Evaluations of a stage on its way, and the best model by them.

The problems are the last of the held-out part, as many as `validation_problems` says: a model that was chosen by some
problems is not to be judged by them. Stages evaluate themselves on the other held-out problems, and so does the
evaluation report wherever a stage kept its best model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from lm.alignment.config import RolloutConfig
from lm.alignment.policy import Policy
from lm.artifact import Artifact
from lm.chat.records import Problem
from lm.errors import InputError
from lm.evaluation.answers import answer_problems, answer_rates, answer_rewards
from lm.inference.engine import GenerationConfig
from lm.model.files import model_state
from lm.rewards.functions import RewardFunction

PUBLISHED_STEP = "published_step"


class Validation:
    """The evaluations of one stage: greedy answers to its validation problems, rewarded as in training.

    A part of the stage's checkpoint: with `keep_best` it holds the weights of the best evaluation so far, on the CPU.
    """

    def __init__(
        self, policy: Policy, problems: Sequence[Problem], config: RolloutConfig, reward_fn: RewardFunction
    ) -> None:
        """Raises:
        InputError: evaluations are due, and there are no problems.
        """
        if config.evaluate_every and not problems:
            raise InputError(
                f"validation problems: none with evaluate_every = {config.evaluate_every}, expected at least 1"
            )
        self._policy, self._problems, self._config, self._reward_fn = policy, problems, config, reward_fn
        self._best: dict[str, Any] = {}
        self._weights: dict[str, Tensor] = {}

    def after(self, step: int) -> dict[str, float]:
        """Return the figures of an evaluation after `step`; empty where none is due.

        A later evaluation of an equal reward does not replace the best one.
        """
        config = self._config
        if not config.evaluate_every or (step % config.evaluate_every and step != config.num_steps):
            return {}
        generation = GenerationConfig(max_new_tokens=config.max_new_tokens, temperature=0.0)
        answers = answer_problems(self._policy.model.eval(), self._policy.tokenizer, self._problems, generation)
        reward = fmean(answer_rewards(answers, self._reward_fn))
        if not self._best or reward > self._best["reward"]:
            self._best = {"step": step, "reward": reward}
            if config.keep_best:
                weights = model_state(self._policy.model)
                self._weights = {name: each.detach().to("cpu", copy=True) for name, each in weights.items()}
        return {"validation_reward": reward, "validation_verified_rate": answer_rates(answers).verified_rate}

    def finish(self) -> dict[str, Any]:
        """Give the policy its best weights, with `keep_best`; return what the summary says of the evaluations: the
        number of problems, the best step, its reward, and the step whose model is published. Empty without any."""
        if not self._best:
            return {}
        if self._config.keep_best:
            with torch.no_grad():
                for name, weight in model_state(self._policy.model).items():
                    weight.copy_(self._weights[name])
        published = self._best["step"] if self._config.keep_best else self._config.num_steps
        facts = {"best_step": self._best["step"], "best_reward": self._best["reward"], PUBLISHED_STEP: published}
        return {"validation": {"num_problems": len(self._problems), **facts}}

    def state(self) -> dict[str, Any]:
        """Return the step and the reward of the best evaluation."""
        return dict(self._best)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights of the best evaluation."""
        return dict(self._weights)

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go on from a `state()` and its `tensors()`."""
        self._best = dict(state)
        self._weights = dict(tensors)


def split_off(heldout: Sequence[Problem], config: RolloutConfig, path: Path) -> tuple[list[Problem], list[Problem]]:
    """Return the held-out problems that judge a stage, and its validation problems; none without evaluations.

    Raises:
        InputError: no problem is left to judge by.
    """
    if not config.evaluate_every:
        return list(heldout), []
    count = config.validation_problems
    if len(heldout) <= count:
        raise InputError(
            f"{path}: {len(heldout)} held-out problems, expected more than validation_problems = {count}: "
            "problems that select a model do not evaluate the model"
        )
    return list(heldout[:-count]), list(heldout[-count:])


def judging(heldout: Sequence[Problem], models: Iterable[Artifact], path: Path) -> list[Problem]:
    """Return the held-out problems that chose none of the models.

    Raises:
        InputError: there are none.
    """
    counts = [int(each.config["validation_problems"]) for each in models if each.config.get("keep_best")]
    chosen = list(heldout[: len(heldout) - max(counts, default=0)])
    if not chosen:
        raise InputError(f"{path}: all {len(heldout)} held-out problems were used for model selection, expected others")
    return chosen


def published_step(model: Artifact) -> int | None:
    """Return the step whose model a stage with evaluations has published; None for one without."""
    found = model.summary.get("validation")
    return None if found is None else int(found[PUBLISHED_STEP])
