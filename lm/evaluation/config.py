"""What the evaluations do."""

from __future__ import annotations

from dataclasses import dataclass

from lm.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class NgramConfig:
    """The yardstick that a trained model must beat."""

    order: int = 3
    """Length of the longest grams: 3 looks at the two tokens before."""

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 7:
            raise ConfigurationError(f"ngram.order: {self.order}, expected 1 to 7")
