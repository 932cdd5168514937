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
