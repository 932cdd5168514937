"""The learning rate of each step."""

from __future__ import annotations

import math


def cosine_schedule(step: int, max_lr: float, min_lr: float, warmup_steps: int, cosine_steps: int) -> float:
    """Linear from 0 to `max_lr` at `warmup_steps`, half a cosine down to `min_lr` at `cosine_steps`, then flat.

    lr = min + ½ (max − min) (1 + cos(π (step − warmup) / (cosine − warmup)))          (Loshchilov and Hutter 2017, eq.
    5)
    """
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    if step >= cosine_steps:
        return min_lr
    progress = (step - warmup_steps) / (cosine_steps - warmup_steps)
    return min_lr + 0.5 * (max_lr - min_lr) * (1 + math.cos(math.pi * progress))
