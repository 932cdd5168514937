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


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """The report over all stages."""

    num_problems: int = 200
    """Held-out problems that every stage answers: the first of the file."""
    num_shown: int = 8
    """Problems whose answers are shown."""
    max_new_tokens: int = 48
    """Longest answer."""
    seed: int = 0
    """Draws the samples at temperature 1."""
    device: str = "auto"
    """cpu, cuda, or auto: a GPU where there is one."""
    num_threads: int = 0
    """Threads of the CPU; 0 leaves torch's choice. Bytes are equal only between runs with equally many."""
