"""Compute-optimal size and number of tokens for a budget of operations.

Expected loss L(N, D) = E + A / N^α + B / D^β with the constants of Hoffmann et al. 2022 (approach 3) as refitted by
Besiroglu et al. 2024. They were fitted on web text with another tokenizer: the optimum carries over better than the
loss itself. Text seen again counts less: of R repetitions of U tokens as many as U (1 + R* (1 − e^(−R/R*))), R* = 15.4
(Muennighoff et al. 2023, eq. 5).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from lm.accounting.flops import training_flops_per_token
from lm.accounting.parameters import count_parameters
from lm.errors import ConfigurationError
from lm.model.config import ModelConfig

_E, _A, _B, _ALPHA, _BETA = 1.8172, 482.01, 2085.43, 0.3478, 0.3658
_REPETITIONS = 15.4
_D_HEAD = 64
_WIDTH_BY_DEPTH = (32, 160)
"""Widths per layer that are considered: outside, models of the same size do worse (Kaplan et al. 2020, figure 5)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One way to spend a budget: the shape, the tokens (repetitions included), the loss to expect in nats per token."""

    config: ModelConfig
    num_tokens: int
    flops: float
    expected_loss: float

    @property
    def num_parameters(self) -> int:
        """All weights."""
        return count_parameters(self.config).total

    @property
    def tokens_per_parameter(self) -> float:
        """About 20 at the optimum of unlimited text."""
        return self.num_tokens / self.num_parameters


def plan(flops: float, *, vocab_size: int, context_length: int, unique_tokens: float = math.inf) -> Plan:
    """The shape and number of tokens with the lowest expected loss for `flops` operations of training.

    Raises:
        ConfigurationError: the budget is too small for the smallest shape to see a thousand contexts.
    """
    best: Plan | None = None
    for config in _shapes(vocab_size, context_length):
        tokens = flops / training_flops_per_token(config)
        if tokens < 1_000 * context_length:
            continue
        loss = expected_loss(count_parameters(config).total, effective_tokens(tokens, unique_tokens))
        if best is None or loss < best.expected_loss:
            best = Plan(config, int(tokens), flops, loss)
    if best is None:
        raise ConfigurationError(
            f"flops: {flops:.3g}, expected enough for the smallest model to see {1_000 * context_length:,} tokens"
        )
    return best


def expected_loss(num_parameters: float, num_tokens: float) -> float:
    """L(N, D) in nats per token."""
    return _E + _A / num_parameters**_ALPHA + _B / num_tokens**_BETA


def effective_tokens(num_tokens: float, unique_tokens: float) -> float:
    """Return the value of `num_tokens` that repeat `unique_tokens`, in tokens never seen before."""
    if num_tokens <= unique_tokens:
        return num_tokens
    repetitions = num_tokens / unique_tokens - 1
    return unique_tokens * (1 + _REPETITIONS * (1 - math.exp(-repetitions / _REPETITIONS)))


def _shapes(vocab_size: int, context_length: int) -> Iterator[ModelConfig]:
    """Models of 64 to 8,192 wide, in steps of a head below 1,024 and of an eighth of the width above."""
    d_model = _D_HEAD
    while d_model <= 8_192:
        for num_layers in range(2, 97):
            if _WIDTH_BY_DEPTH[0] <= d_model / num_layers <= _WIDTH_BY_DEPTH[1]:
                yield ModelConfig(
                    vocab_size=vocab_size,
                    context_length=context_length,
                    d_model=d_model,
                    num_layers=num_layers,
                    num_heads=d_model // _D_HEAD,
                    tie_embeddings=d_model < 1_024,
                )
        d_model += max(_D_HEAD, d_model // 8 // _D_HEAD * _D_HEAD)
