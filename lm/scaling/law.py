"""The parametric law of the loss, its optimum for a budget, and its form for repeated text.

    L(N, D) = E + A / N^α + B / D^β                                  (Hoffmann et al. 2022, eq. 2), in nats per token

At C = 6 N D it is lowest where α A / N^α = β B / D^β, so N* = G (C / 6)^a with G = (α A / (β B))^(1 / (α + β)) and
a = β / (α + β) (eq. 4).

Where only U distinct tokens exist, tokens and parameters both count for less (Muennighoff et al. 2023, eq. 5 and 6):

    D' = U + U R_D (1 − exp(−(D / U − 1) / R_D)),           R_D = 15.39
    N' = U_N + U_N R_N (1 − exp(−(N / U_N − 1) / R_N)),     R_N = 5.31,  U_N = min(N, N optimal for U tokens)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

R_TOKENS, R_PARAMETERS = 15.387756, 5.309743
"""Repetitions after which more epochs, or more parameters, are worth little (Muennighoff et al. 2023, appendix)."""


@dataclass(frozen=True, slots=True)
class FittedRange:
    """The least and the most of the points that a law was fitted to."""

    parameters: tuple[float, float]
    tokens: tuple[float, float]

    def outside(self, num_parameters: float, num_tokens: float) -> list[str]:
        """Return a sentence for each number outside of the range."""
        found = []
        for name, value, (low, high) in (
            ("parameters", num_parameters, self.parameters),
            ("tokens", num_tokens, self.tokens),
        ):
            if not low <= value <= high:
                found.append(f"{value:.3g} {name}: outside the fitted range {low:.3g} to {high:.3g}")
        return found


@dataclass(frozen=True, slots=True)
class LossLaw:
    """E, A, B, α, β, and where they come from."""

    e: float
    a: float
    b: float
    alpha: float
    beta: float
    source: str = ""
    fitted: FittedRange | None = None

    def loss(self, num_parameters: float, num_tokens: float) -> float:
        """Return L(N, D) in nats per token."""
        return self.e + self.a / num_parameters**self.alpha + self.b / num_tokens**self.beta

    def loss_of_repeated(self, num_parameters: float, num_tokens: float, unique_tokens: float) -> float:
        """Return L(N', D') where `num_tokens` are read from `unique_tokens` distinct ones."""
        if not math.isfinite(unique_tokens):
            return self.loss(num_parameters, num_tokens)
        unique = min(num_tokens, unique_tokens)
        needed = min(num_parameters, self.parameters_for_tokens(unique))
        return self.loss(diminished(num_parameters, needed, R_PARAMETERS), diminished(num_tokens, unique, R_TOKENS))

    def parameters_for_tokens(self, num_tokens: float) -> float:
        """Return the N for which `num_tokens` are compute-optimal: α A / N^α = β B / D^β."""
        return (self.alpha * self.a / (self.beta * self.b) * num_tokens**self.beta) ** (1 / self.alpha)

    def optimal(self, flops: float) -> tuple[float, float]:
        """Return N* and D* at C = 6 N D, for text without end."""
        exponent = 1 / (self.alpha + self.beta)
        g = (self.alpha * self.a / (self.beta * self.b)) ** exponent
        parameters = g * (flops / 6) ** (self.beta * exponent)
        return parameters, flops / 6 / parameters

    @property
    def exponents(self) -> tuple[float, float]:
        """Return a and b of N* ∝ C^a and D* ∝ C^b."""
        return self.beta / (self.alpha + self.beta), self.alpha / (self.alpha + self.beta)


def diminished(amount: float, unique: float, constant: float) -> float:
    """Return the worth of `amount` of which only `unique` differ, in units that are all distinct."""
    if amount <= unique:
        return amount
    return unique * (1 + constant * -math.expm1(-(amount / unique - 1) / constant))


CHINCHILLA = LossLaw(
    e=1.8172,
    a=482.01,
    b=2085.43,
    alpha=0.3478,
    beta=0.3658,
    source="Hoffmann et al. 2022 (approach 3), refitted by Besiroglu et al. 2024: web text, a vocabulary of 32,000",
    fitted=FittedRange(parameters=(4.4e7, 1.6e10), tokens=(2.5e8, 5e11)),
)
"""The loss carries over to another tokenizer and other text less well than the optimum does."""

AS_PUBLISHED = LossLaw(
    e=1.69,
    a=406.4,
    b=410.7,
    alpha=0.34,
    beta=0.28,
    source="Hoffmann et al. 2022 (approach 3, eq. 10), as published",
    fitted=CHINCHILLA.fitted,
)
"""The first fit of the runs that `CHINCHILLA` fits: between the two lies what the fitting alone changes."""
