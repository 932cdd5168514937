"""Configuration of a pre-training that may follow the training plan."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from lm.configuration import Doc, Range, to_mapping
from lm.errors import ConfigurationError
from lm.training.config import PretrainConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedTraining(PretrainConfig):
    """A pre-training, whose shape, tokens, learning rate and batch come from `training_plan` where `plan` is set."""

    plan: Annotated[
        bool,
        Doc(
            "Use the shape, tokens, batch size and learning rate that training_plan recommends for `plan_flops`, with "
            "AdamW. Fields in `model` still apply."
        ),
    ] = False
    plan_flops: Annotated[
        float, Doc("With `plan`: the training budget in FLOPs, one of training_plan's budgets."), Range(above=0)
    ] = 1e13


def training_of(config: PlannedTraining, tables: Mapping[str, Any] | None) -> PretrainConfig:
    """Return the training alone, with the plan's row in it where the configuration asks for one.

    Raises:
        ConfigurationError: there is no plan, or the plan has no such budget.
    """
    names = {field.name for field in dataclasses.fields(PretrainConfig)}
    training = PretrainConfig(**{name: value for name, value in to_mapping(config).items() if name in names})
    if not config.plan:
        return training
    if tables is None:
        raise ConfigurationError("plan: true, but training_plan has not been materialized yet")
    return follow_plan(training, tables, config.plan_flops)


def follow_plan(config: PretrainConfig, tables: Mapping[str, Any], flops: float) -> PretrainConfig:
    """Return the training with the shape, tokens, learning rate and batch of one row of `plan.json`.

    Raises:
        ConfigurationError: the plan has no such budget, or no model for it.
    """
    rows = {row["flops"]: row for row in tables["budgets"]}
    if flops not in rows:
        known = ", ".join(f"{budget:g}" for budget in rows)
        raise ConfigurationError(f"plan_flops: {flops:g}, expected a budget of training_plan: {known}")
    row = rows[flops]
    if row["parameters"] is None:
        raise ConfigurationError(f"plan_flops: {row['note']}")
    context = row["model"]["context_length"]
    return dataclasses.replace(
        config,
        preset="tiny_cpu",
        model={**row["model"], **config.model},
        num_steps=0,
        num_tokens=row["num_tokens"],
        batch_size=max(1, row["batch_tokens"] // context),
        optimizer="adamw",
        learning_rate=row["learning_rate"],
    )
