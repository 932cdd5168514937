"""Learning-rate schedules. Each rises linearly from 0 to `max_lr` at `warmup_steps` first; a shorter run ends below
`max_lr`.
"""

from __future__ import annotations

import math

from lm.training.config import PretrainConfig


def scheduled_rate(config: PretrainConfig, step: int, num_steps: int) -> float:
    """Return the learning rate of a step (from 1) of a run of `num_steps`."""
    rates = config.learning_rate, config.learning_rate * config.final_lr_fraction
    if config.schedule == "wsd":
        return wsd_schedule(step, *rates, config.warmup_steps, num_steps, config.decay_steps(num_steps))
    schedule = cosine_schedule if config.schedule == "cosine" else linear_schedule
    return schedule(step, *rates, config.warmup_steps, num_steps)


def cosine_schedule(step: int, max_lr: float, min_lr: float, warmup_steps: int, cosine_steps: int) -> float:
    """Return the rate of a cosine schedule: linear from 0 to `max_lr` at `warmup_steps`, half a cosine down to `min_lr`
    at `cosine_steps`, then flat.

    lr = min + ½ (max − min) (1 + cos(π (step − warmup) / (cosine − warmup)))          (Loshchilov and Hutter 2017, eq.
    5)
    """
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    if step >= cosine_steps:
        return min_lr
    progress = (step - warmup_steps) / (cosine_steps - warmup_steps)
    return min_lr + 0.5 * (max_lr - min_lr) * (1 + math.cos(math.pi * progress))


def linear_schedule(step: int, max_lr: float, min_lr: float, warmup_steps: int, linear_steps: int) -> float:
    """Return the rate on a straight line from `max_lr` at `warmup_steps` to `min_lr` at `linear_steps`, then flat."""
    return wsd_schedule(step, max_lr, min_lr, warmup_steps, linear_steps, linear_steps - warmup_steps)


def wsd_schedule(step: int, max_lr: float, min_lr: float, warmup_steps: int, num_steps: int, decay_steps: int) -> float:
    """Return the rate of warm-up, stable, decay (Hu et al. 2024, section 4): flat at `max_lr` until `num_steps -
    decay_steps`, then a straight line to `min_lr` at `num_steps`, then flat. A warm-up that reaches into the decay
    leaves it what is left.

    The line is the decay that Hägele et al. 2024 compare, not the exponential of the first paper. A checkpoint of the
    flat part can be continued with any number of steps (`PretrainConfig.init_state`).
    """
    if step < warmup_steps:
        return max_lr * step / warmup_steps
    if step >= num_steps:
        return min_lr
    left = (num_steps - step) / max(1, min(decay_steps, num_steps - warmup_steps))
    return min_lr + (max_lr - min_lr) * min(1.0, left)
