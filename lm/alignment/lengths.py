"""Examples and prompts that are too long for the model's context: refused, left out, or cut, and counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lm.alignment.config import TooLong
from lm.chat.records import Problem
from lm.chat.template import ChatExample, encode_prompt
from lm.errors import InputError
from lm.tokenizer import Tokenizer


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
                f"{place} is {size} tokens, expected at most {self.longest}: context_length and the last target; "
                "too_long: 'skip' leaves such examples out, 'cut' truncates them"
            )
        if self.too_long == "cut" and example.num_prompt_tokens < self.longest:
            self.counts["cut"] += 1
            return ChatExample(example.token_ids[: self.longest], example.num_prompt_tokens)
        self.counts["left_out"] += 1
        return None


def with_room(
    tokenizer: Tokenizer, problems: Sequence[Problem], room: int, too_long: TooLong, path: Path
) -> tuple[list[Problem], int]:
    """Return the problems whose prompts are at most `room` tokens, and the number of the others.

    Raises:
        InputError: a prompt is longer, where `too_long` is to refuse, or all are; names the file and the id.
    """
    kept = []
    for problem in problems:
        length = len(encode_prompt(tokenizer, problem.prompt))
        if length <= room:
            kept.append(problem)
        elif too_long == "refuse":
            raise InputError(
                f"{path}: id '{problem.id}' is {length} tokens, expected at most {room}: context_length less "
                "max_new_tokens"
            )
    if not kept:
        raise InputError(
            f"{path}: none of {len(problems)} prompts is at most {room} tokens, context_length less max_new_tokens"
        )
    return kept, len(problems) - len(kept)
