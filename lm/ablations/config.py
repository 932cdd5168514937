"""Configuration of the ablations: the questions, and the settings that all runs share.

A question is a table of variants: each a name and the fields of the training's configuration that it changes. The first
is what the others are held against. All runs of a question see the same tokens in the same order, once per seed. Every
variant says what it is, also where the shared settings say so already: what is called SwiGLU is SwiGLU.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from lm.configuration import Doc, Range, from_mapping, settle, unknown_key
from lm.errors import ConfigurationError
from lm.model.config import ModelConfig
from lm.training.config import PretrainConfig

Changes = Mapping[str, Any]

LEARNING_RATE = "learning_rate"

QUESTIONS: Mapping[str, Mapping[str, Changes]] = {
    LEARNING_RATE: {},  # its variants are the configured rates
    "batch_size": {f"{size} window{'s' if size > 1 else ''}": {"batch_size": size} for size in (4, 1, 2, 8, 16)},
    "norm": {
        "RMSNorm": {"model": {"norm": "rms"}},
        "LayerNorm": {"model": {"norm": "layer"}},
        "no norm": {"model": {"norm_placement": "none"}},
    },
    "norm_placement": {place: {"model": {"norm_placement": place}} for place in ("pre", "post", "sandwich")},
    "position": {"RoPE": {"model": {"position": "rope"}}, "NoPE": {"model": {"position": "none"}}},
    "ffn": {"SwiGLU": {"model": {"ffn": "swiglu"}}, "SiLU": {"model": {"ffn": "silu"}}},
    "optimizer": {name: {"optimizer": name.lower(), "learning_rate": 1e-2} for name in ("AdamW", "Muon")},
}
"""By name: learning rate, batch size at equal tokens, RMSNorm or none, where norms stand, RoPE or NoPE, SwiGLU or SiLU
at equal parameters, AdamW or Muon (both at a rate of 0.01, whatever the shared one is)."""

_SHARED: Changes = {
    "preset": "tiny_cpu",
    "optimizer": "adamw",
    "learning_rate": 3e-3,
    "batch_size": 4,
    "warmup_steps": 20,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AblationConfig:
    """The settings that all runs of all questions share.

    Raises:
        ConfigurationError: a value out of its range, or a shared setting that the training refuses.
    """

    num_tokens: Annotated[int, Doc("Training tokens per run, the same for every variant."), Range(1)] = 200_000
    seeds: Annotated[
        tuple[int, ...],
        Doc("Every variant is trained once per seed; the spread between seeds measures seed noise."),
        Range(0),
    ] = (0, 1)
    training: Annotated[
        Mapping[str, Any],
        Doc(
            "Training settings shared by all runs. They override the defaults of the ablations: tiny_cpu, AdamW, "
            "batches of 4."
        ),
    ] = field(default_factory=dict)
    learning_rates: Annotated[
        tuple[float, ...],
        Doc("Learning rates to try, in increasing order; the first rate that is too high is the last one tried."),
        Range(above=0),
    ] = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
    num_evaluations: Annotated[int, Doc("Validation passes during each run."), Range(1)] = 8

    def __post_init__(self) -> None:
        settle(self, "ablations")
        if not self.seeds or len(set(self.seeds)) != len(self.seeds):
            raise ConfigurationError(f"ablations.seeds: {self.seeds}, expected one or more distinct seeds")
        if not self.learning_rates or list(self.learning_rates) != sorted(set(self.learning_rates)):
            raise ConfigurationError(f"ablations.learning_rates: {self.learning_rates}, expected increasing numbers")
        for question in QUESTIONS:
            for variant in self.variants(question):
                self.run(question, variant, self.seeds[0])

    def variants(self, question: str) -> Mapping[str, Changes]:
        """Return the variants of a question by name, the one that others are held against first.

        Raises:
            ConfigurationError: there is no such question.
        """
        if question not in QUESTIONS:
            raise ConfigurationError(unknown_key(question, QUESTIONS, "question"))
        if question != LEARNING_RATE:
            return QUESTIONS[question]
        return {f"{rate:g}": {"learning_rate": rate} for rate in self.learning_rates}

    def run(self, question: str, variant: str, seed: int) -> PretrainConfig:
        """Return the configuration of one run."""
        changes = self.variants(question)[variant]
        merged = {**_SHARED, **self.training, **changes, "seed": seed, "num_tokens": self.num_tokens, "num_steps": 0}
        merged["model"] = self.training.get("model", {})
        shared = from_mapping(PretrainConfig, merged, "ablations.training").model_config(vocab_size=512)
        merged["model"] = {**merged["model"], **_model_changes(changes.get("model", {}), shared)}
        config = from_mapping(PretrainConfig, merged, "ablations.training")
        steps = config.steps(config.model_config(vocab_size=512).context_length)
        merged["evaluation_interval"] = max(1, steps // self.num_evaluations)
        merged["warmup_steps"] = min(config.warmup_steps, max(1, steps // 4))
        return from_mapping(PretrainConfig, merged, "ablations.training")


def _model_changes(asked: Mapping[str, Any], shared: ModelConfig) -> dict[str, Any]:
    """Return the fields asked for that are otherwise in `shared`, so that equal runs have equal configurations; with
    another number of matrices in the feed-forward layer, the width that leaves it as many weights.
    """
    changes = {name: value for name, value in asked.items() if getattr(shared, name) != value}
    if "norm" in asked and shared.norm_placement == "none":
        changes["norm_placement"] = "pre"  # a norm that stands nowhere is none
    if "ffn" in changes:
        gated = dataclasses.replace(shared, **changes, d_ff=0).is_gated
        changes["d_ff"] = round(shared.d_ff * (3 if shared.is_gated else 2) / (3 if gated else 2))
    return changes
