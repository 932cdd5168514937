"""Reward functions: any `reward_fn(response, truth) -> dict` whose entry `reward` is a finite number.

Other entries, such as `format_reward` and `answer_reward`, are logged beside it. A reward function is given the text of
a response that ended its turn; one that was cut off earns nothing without being asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from lm.errors import InputError

RewardFunction = Callable[[str, str], Mapping[str, float]]
"""From the text of a response and the truth, to a reward and its parts."""


def graded(reward_fn: RewardFunction, response: str, truth: str) -> dict[str, float]:
    """Return what `reward_fn` gives, with the numbers as floats.

    Raises:
        InputError: it gave no mapping, no `reward`, or a number that is not finite.
    """
    found = reward_fn(response, truth)
    if not isinstance(found, Mapping) or "reward" not in found:
        raise InputError(f"reward function: {found!r:.80}, expected a mapping with the entry 'reward'")
    for name, value in found.items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise InputError(f"reward function: '{name}' is {value!r:.80}, expected a finite number")
    return {name: float(value) for name, value in found.items()}
