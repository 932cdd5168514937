"""Examples that are longer than the model's context: refused, left out, or cut, and counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lm.alignment.config import TooLong
from lm.chat.template import ChatExample
from lm.errors import InputError


@dataclass(slots=True)
class LengthLimit:
    """The rule for examples of more than `longest` tokens, and the counts of what it did."""

    longest: int
    """All tokens of an exchange but the last are inputs, so this is the context and one."""
    too_long: TooLong = "refuse"
    counts: Counter[str] = field(default_factory=Counter)

    def fit(self, example: ChatExample, place: str) -> ChatExample | None:
        """Return the example, cut at its end if need be, or None where it is left out.

        A response that is cut away as a whole leaves nothing to learn: the example is left out whatever the rule.

        Raises:
            InputError: it is too long, and the rule is to refuse; names its `place`.
        """
        size = len(example.token_ids)
        if size <= self.longest:
            return example
        if self.too_long == "refuse":
            raise InputError(
                f"{place} is {size} tokens, expected at most {self.longest}: the context and the last target; "
                "too_long: 'skip' leaves such examples out, 'cut' cuts them"
            )
        if self.too_long == "cut" and example.num_prompt_tokens < self.longest:
            self.counts["cut"] += 1
            return ChatExample(example.token_ids[: self.longest], example.num_prompt_tokens)
        self.counts["left_out"] += 1
        return None
