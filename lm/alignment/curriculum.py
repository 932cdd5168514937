"""The order in which GRPO draws its problems: shuffled epochs, or a curriculum by pass rate.

A group of answers that are all right, or all wrong, has no signal. The variance of one reward of 0 or 1 is p (1 − p)
at the pass rate p, so the curriculum draws each problem with the weight

    w = f + (1 − f) · 4 p (1 − p),   f = 0.05

without replacement within a batch. p is a running mean over the problem's groups, the newest with half of the weight.
A new problem has the weight 1, the highest. f keeps problems that were always or never right in the draw, since the
policy changes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from lm.alignment.config import GRPOConfig
from lm.alignment.sequences import shuffled_batches
from lm.alignment.stage_checkpoint import StagePart
from lm.errors import InputError

FLOOR = 0.05
NEWEST = 0.5
"""The weight of the newest group in the running mean."""


class ProblemOrder(StagePart, Protocol):
    """An order of problems, and what it learns of their groups."""

    def draw(self, number: int) -> list[int]:
        """Return the indices of the problems of draw `number`, from 1 on."""

    def note(self, problems: Sequence[int], rewards: Float[Tensor, "problems group"]) -> None:
        """Take note of the rewards of drawn problems."""

    def numbers(self) -> dict[str, float]:
        """Return what a step's log says of the order."""


def make_order(config: GRPOConfig, num_problems: int) -> ProblemOrder:
    """Return the order that a configuration names.

    Raises:
        InputError: there are no problems.
    """
    kind = PassRateOrder if config.curriculum == "pass_rate" else ShuffledOrder
    return kind(num_problems, config.batch_size, config.seed)


class ShuffledOrder:
    """Epochs in shuffled order."""

    def __init__(self, num_problems: int, batch_size: int, seed: int) -> None:
        self._batches = shuffled_batches(num_problems, batch_size, seed)
        self._num_drawn = 0

    def draw(self, number: int) -> list[int]:
        """Return the next batch; `number` counts them."""
        self._num_drawn = number
        return next(self._batches)

    def note(self, problems: Sequence[int], rewards: Float[Tensor, "problems group"]) -> None:
        """Do nothing: the order does not depend on rewards."""

    def numbers(self) -> dict[str, float]:
        """Return nothing to log."""
        return {}

    def state(self) -> dict[str, Any]:
        """Return the number of batches so far."""
        return {"num_drawn": self._num_drawn}

    def tensors(self) -> dict[str, Tensor]:
        """Return no tensors."""
        return {}

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go on from a `state()` of an order that was just made."""
        self._num_drawn = int(state["num_drawn"])
        self._batches = islice(self._batches, self._num_drawn, None)


class PassRateOrder:
    """Draws by the weights of the module's formula."""

    def __init__(self, num_problems: int, batch_size: int, seed: int) -> None:
        """Raises:
        InputError: there are no problems.
        """
        if num_problems < 1:
            raise InputError("no problems to draw by their pass rates, expected at least 1")
        self._num_problems, self._batch_size, self._seed = num_problems, batch_size, seed
        self._rates: dict[int, float] = {}

    def weights(self) -> Float[Tensor, " problems"]:
        """Return w of every problem, in float64."""
        weights = torch.ones(self._num_problems, dtype=torch.float64)
        for problem, rate in self._rates.items():
            weights[problem] = FLOOR + (1.0 - FLOOR) * 4.0 * rate * (1.0 - rate)
        return weights

    def draw(self, number: int) -> list[int]:
        """Return different problems, by their weights; a batch of more than there are takes all, again and again."""
        generator = torch.Generator().manual_seed((self._seed * 1_000_003 + number) % 2**63)
        drawn: list[int] = []
        while len(drawn) < self._batch_size:
            count = min(self._batch_size - len(drawn), self._num_problems)
            drawn += torch.multinomial(self.weights(), count, generator=generator).tolist()
        return drawn

    def note(self, problems: Sequence[int], rewards: Float[Tensor, "problems group"]) -> None:
        """Move the pass rates; a response passes with a reward of at least 1."""
        rates = (rewards >= 1.0).double().mean(dim=1).tolist()
        for problem, rate in zip(problems, rates, strict=True):
            before = self._rates.get(problem, rate)
            self._rates[problem] = (1.0 - NEWEST) * before + NEWEST * rate

    def numbers(self) -> dict[str, float]:
        """Return the share of problems drawn so far, and the mean of their pass rates."""
        return {
            "seen_share": len(self._rates) / self._num_problems,
            "running_pass_rate": math.fsum(self._rates.values()) / max(1, len(self._rates)),
        }

    def state(self) -> dict[str, Any]:
        """Return the pass rates."""
        return {"rates": {str(problem): rate for problem, rate in self._rates.items()}}

    def tensors(self) -> dict[str, Tensor]:
        """Return no tensors."""
        return {}

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Go on from a `state()`."""
        self._rates = {int(problem): rate for problem, rate in state["rates"].items()}
