"""Compute-optimal shape and number of tokens for a budget of FLOPs.

The loss is a law's (`lm.scaling.law`), by default the published one of Chinchilla, with both terms for repeated text.
It is never above ln V, the loss of a uniform guess. A plan outside of the points that the law was fitted to says so in
its `notes`.

Of plans within a thousandth of the lowest loss the cheapest is taken: where text is scarce, larger models and further
epochs are worth next to nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lm.accounting.flops import training_flops_per_token
from lm.accounting.parameters import count_parameters
from lm.errors import ConfigurationError
from lm.model.config import ModelConfig
from lm.scaling.hyperparameters import FITTED_FLOPS, suggested
from lm.scaling.law import AS_PUBLISHED, CHINCHILLA, LossLaw
from lm.scaling.shapes import shapes_near

LEAST_WINDOWS = 100
"""Windows that a planned model reads at least."""
_MOST_EPOCHS = 16.0
"""About R_D: further epochs add less than a hundredth of a new token each (Muennighoff et al. 2023)."""
_NEAR = 1.001
CHINCHILLA_RATIO = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to spend a budget: the shape, the tokens (repetitions included), the loss to expect in nats per token,
    and what limits the prediction.
    """

    config: ModelConfig
    num_tokens: int
    flops: float
    expected_loss: float
    learning_rate: float
    batch_tokens: int
    notes: tuple[str, ...]

    @property
    def num_parameters(self) -> int:
        """All weights."""
        return count_parameters(self.config).total

    @property
    def tokens_per_parameter(self) -> float:
        """About 20 at the optimum of unlimited text."""
        return self.num_tokens / self.num_parameters


def plan(
    flops: float,
    *,
    vocab_size: int,
    context_length: int,
    unique_tokens: float = math.inf,
    law: LossLaw = CHINCHILLA,
) -> Plan:
    """Return the shape and number of tokens with the lowest expected loss for `flops` operations of training.

    Of scarce text at most 16 epochs are read. What the plan leaves of the budget stands in its `notes`.

    Raises:
        ConfigurationError: the budget is too small for the smallest shape to read 100 windows.
    """
    found = [
        (law.loss_of_repeated(each.num_parameters, each.num_tokens, unique_tokens), each)
        for center in _centers(flops, law, unique_tokens)
        for config in shapes_near(center, vocab_size=vocab_size, context_length=context_length)
        if (each := planned(config, flops, unique_tokens=unique_tokens, law=law)) is not None
    ]
    if not found:
        raise ConfigurationError(
            f"flops: {flops:.3g}, expected enough to train the smallest model on "
            f"{LEAST_WINDOWS * context_length:,} tokens"
        )
    lowest = min(loss for loss, _ in found)
    # Without scarcity every shape spends the whole budget, up to rounding: then the loss decides.
    near = [
        (flops if each.flops > 0.99 * flops else each.flops, loss, i)
        for i, (loss, each) in enumerate(found)
        if loss <= lowest * _NEAR
    ]
    return found[min(near)[2]][1]


def planned(
    config: ModelConfig, flops: float, *, unique_tokens: float = math.inf, law: LossLaw = CHINCHILLA
) -> Plan | None:
    """Return the plan for a given shape; None where the budget is too small for it."""
    affordable = flops / training_flops_per_token(config)
    tokens = min(affordable, _MOST_EPOCHS * unique_tokens)
    if tokens < LEAST_WINDOWS * config.context_length:
        return None
    size, uniform = count_parameters(config).total, math.log(config.vocab_size)
    loss = law.loss_of_repeated(size, tokens, unique_tokens)
    notes = law.fitted.outside(size, tokens) if law.fitted else []
    if loss > uniform:
        notes.append(
            f"the law gives {loss:.3g} nats, more than a uniform guess: ln {config.vocab_size:,} = {uniform:.3g}"
        )
    if tokens < affordable * 0.999:
        notes.append(f"{_MOST_EPOCHS:.0f} epochs of the text use {tokens / affordable:.3g} of the budget")
    spent = tokens * training_flops_per_token(config)
    rates = suggested(spent, config.context_length, tokens)
    if rates.extrapolated:
        low, high = FITTED_FLOPS
        notes.append(
            f"learning rate and batch size: outside the fitted range of their laws, {low:.0e} to {high:.0e} FLOPs"
        )
    return Plan(config, int(tokens), spent, min(loss, uniform), rates.learning_rate, rates.batch_tokens, tuple(notes))


def published_range(found: Plan, unique_tokens: float = math.inf) -> tuple[float, float] | None:
    """Return the losses that the two published fits of the same runs give this plan, the lower first; None where one
    lies above ln V.

    It is narrower than a 95% interval: neither fit was published with the draws from which one would follow.
    """
    size, tokens = found.num_parameters, found.num_tokens
    low, high = sorted(law.loss_of_repeated(size, tokens, unique_tokens) for law in (CHINCHILLA, AS_PUBLISHED))
    return (low, high) if high <= math.log(found.config.vocab_size) else None


def twenty_to_one(flops: float) -> tuple[float, float]:
    """Return the parameters and tokens of C = 6 N D with 20 tokens a parameter, the rule of thumb beside a fit."""
    parameters = math.sqrt(flops / 6 / CHINCHILLA_RATIO)
    return parameters, CHINCHILLA_RATIO * parameters


def _centers(flops: float, law: LossLaw, unique_tokens: float) -> list[float]:
    """Return sizes around which the optimum is looked for: the closed form, and with scarce text also what that text
    can teach.
    """
    centers = [law.optimal(flops)[0]]
    center = law.parameters_for_tokens(unique_tokens) if math.isfinite(unique_tokens) else math.inf
    while center < centers[0]:
        centers.append(center)
        center *= 16.0
    return centers
