"""Configuration of the evaluations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lm.configuration import Doc, Range, settle


@dataclass(frozen=True, kw_only=True)
class NgramConfig:
    """The n-gram baseline that a trained model must beat."""

    order: Annotated[int, Doc("Length of the longest grams: 3 reads the two tokens before."), Range(1, 7)] = 3

    def __post_init__(self) -> None:
        settle(self, "ngram")


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """The report over all stages."""

    num_problems: Annotated[
        int, Doc("Held-out problems that every stage answers: the first of the file."), Range(1)
    ] = 200
    num_shown: Annotated[int, Doc("Problems whose answers are shown."), Range(0)] = 8
    max_new_tokens: Annotated[int, Doc("Longest answer."), Range(1)] = 48
    seed: Annotated[int, Doc("Draws the samples at temperature 1."), Range(0)] = 0
    device: Annotated[str, Doc("cpu, cuda, or auto: a GPU where there is one.")] = "auto"
    num_threads: Annotated[
        int,
        Doc("Threads of the CPU; 0 leaves torch's choice. Bytes are equal only between runs with equally many."),
        Range(0, 4_096),
    ] = 0

    def __post_init__(self) -> None:
        settle(self, "evaluation")
