"""Parameter groups of an optimizer: decay, share of the learning rate and update rule by the role of a weight.

Every weight has one role: `embeddings`, `lm_head`, `matrices` (and stacks of them, elsewhere) or `vectors` (gains,
biases, convolutions of single channels). Matrices decay, embeddings and the output layer among them; vectors do not.

Width scaling (muP; Yang et al. 2021, table 8): for a model m times as wide as the one whose learning rate was tuned,
the rates are multiplied so that every weight still changes what it computes by the same amount. The model scales its
logits by 1/m itself.

    optimizer    embeddings, vectors    matrices     lm_head
    AdamW        1                      1/m          1
    SGD          m                      1            m
    Muon         1 (AdamW)              1/sqrt(m)    1 (AdamW)

Muon's row is not in the paper: its update has the spectral norm lr · 0.2 · sqrt(max(d_out, d_in)), which must not grow
with the width (the spectral condition of Yang et al. 2023). Decay is lr · λ, so a scaled rate decays less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lm.errors import ConfigurationError
from lm.model import TransformerLM
from lm.training.config import ROLES

OptimizerName = Literal["adamw", "muon", "sgd"]


def role_of(name: str, parameter: Tensor) -> str:
    """Return the role of the weight with this name."""
    first = name.partition(".")[0]
    if first.endswith("_embeddings"):
        return "embeddings"
    if first == "lm_head":
        return "lm_head"
    # A convolution of each channel alone is a stack of rows, not of matrices.
    return "matrices" if parameter.ndim >= 2 and min(parameter.shape[-2:]) > 1 else "vectors"


def make_parameter_groups(
    model: nn.Module,
    weight_decay: float,
    *,
    optimizer: OptimizerName = "adamw",
    multipliers: Mapping[str, float] | None = None,
    width_ratio: float = 1.0,
) -> list[dict[str, Any]]:
    """Return one group for each role that the model has, with `weight_decay`, `lr_scale` (what the schedule's rate is
    multiplied by) and, for Muon, `orthogonal`.

    `multipliers` are by role, `width_ratio` is m.

    Raises:
        ConfigurationError: a multiplier for a role that no weight of the model has.
    """
    by_role: dict[str, list[Tensor]] = {role: [] for role in ROLES}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            by_role[role_of(name, parameter)].append(parameter)
    chosen = multipliers or {}
    for role in chosen:
        if not by_role.get(role):
            present = ", ".join(role for role in ROLES if by_role[role])
            raise ConfigurationError(f"learning_rate_multipliers.{role}: no weight has this role; expected {present}")
    return [
        {
            "params": by_role[role],
            "role": role,
            "weight_decay": 0.0 if role == "vectors" else weight_decay,
            "lr_scale": chosen.get(role, 1.0) * width_scale(role, optimizer, width_ratio),
            "orthogonal": optimizer == "muon" and role == "matrices",
        }
        for role in ROLES
        if by_role[role]
    ]


def width_scale(role: str, optimizer: OptimizerName, width_ratio: float) -> float:
    """Return the factor of the learning rate in the table above."""
    if optimizer == "sgd":
        return 1.0 if role == "matrices" else width_ratio
    if role != "matrices":
        return 1.0
    return 1.0 / width_ratio if optimizer == "adamw" else width_ratio**-0.5


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return two groups for any module: matrices, which decay, and vectors, which do not."""
    groups: dict[bool, list[Tensor]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[role_of(name, parameter) != "vectors"].append(parameter)
    return [
        {"params": groups[True], "weight_decay": weight_decay},
        {"params": groups[False], "weight_decay": 0.0},
    ]


def muon_groups(model: TransformerLM, weight_decay: float) -> list[dict[str, Any]]:
    """Return the layers' matrices for Muon, then all other weights for AdamW."""
    return make_parameter_groups(model, weight_decay, optimizer="muon")


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of `rate`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
