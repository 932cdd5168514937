"""Configuration of the evaluations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lm.configuration import Doc, Range, settle


@dataclass(frozen=True, kw_only=True)
class NgramConfig:
    """The n-gram baseline that a trained model must beat."""

    order: Annotated[
        int, Doc("Order of the n-gram model: 3 predicts a token from the two tokens before it."), Range(1, 7)
    ] = 3

    def __post_init__(self) -> None:
        settle(self, "ngram")
