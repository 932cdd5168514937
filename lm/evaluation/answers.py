"""Well-formed rate and verified answer rate of a model on problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lm.chat.records import Problem
from lm.chat.template import decode_response, encode_prompt, end_id
from lm.inference.engine import Completion, GenerationConfig, generate
from lm.model import TransformerLM
from lm.rewards.answer_line import is_well_formed, parse_answer
from lm.rewards.functions import RewardFunction, graded
from lm.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """One response to a problem, with its verdict and the ids that were drawn, the stop id included."""

    problem: Problem
    response: str
    finished: bool
    token_ids: tuple[int, ...] = ()

    @property
    def is_well_formed(self) -> bool:
        """Return whether it ends in an answer line and an end-of-turn token."""
        return is_well_formed(self.response, self.finished)

    @property
    def is_verified(self) -> bool:
        """Return whether it is well-formed and its number is the answer."""
        return self.finished and parse_answer(self.response) == self.problem.answer

    def as_row(self) -> dict[str, Any]:
        """Return the answer beside its problem and its verdict, as a row."""
        return {
            "id": self.problem.id,
            "prompt": self.problem.prompt,
            "expected": self.problem.answer,
            "response": self.response,
            "answer": parse_answer(self.response),
            "well_formed": self.is_well_formed,
            "verified": self.is_verified,
        }


@dataclass(frozen=True, slots=True)
class AnswerRates:
    """Shares of all responses."""

    num_responses: int
    well_formed_rate: float
    verified_rate: float
    verified_standard_error: float
    """√(p (1 − p) / n), where p is `verified_rate` and n is `num_responses`."""


def answer_problems(
    model: TransformerLM,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    generation: GenerationConfig,
    *,
    num_samples: int = 1,
    seed: int = 0,
) -> list[JudgedAnswer]:
    """Return `num_samples` judged responses to each problem, in order."""
    prompts = [encode_prompt(tokenizer, problem.prompt) for problem in problems]
    completions = generate(model, prompts, generation, stop_ids={end_id(tokenizer)}, num_samples=num_samples, seed=seed)
    return [
        judge(tokenizer, problem, completion)
        for problem, group in zip(problems, completions, strict=True)
        for completion in group
    ]


def judge(tokenizer: Tokenizer, problem: Problem, completion: Completion) -> JudgedAnswer:
    """Return the completion as text, beside its problem."""
    text = decode_response(tokenizer, completion.token_ids)
    return JudgedAnswer(problem, text, completion.finished, tuple(completion.token_ids))


def answer_rates(answers: Sequence[JudgedAnswer]) -> AnswerRates:
    """Return the shares of well-formed and of verified answers."""
    verified = sum(answer.is_verified for answer in answers) / len(answers)
    return AnswerRates(
        num_responses=len(answers),
        well_formed_rate=sum(answer.is_well_formed for answer in answers) / len(answers),
        verified_rate=verified,
        verified_standard_error=math.sqrt(verified * (1 - verified) / len(answers)),
    )


def answer_rewards(answers: Sequence[JudgedAnswer], reward_fn: RewardFunction) -> list[float]:
    """Return the reward of each answer; one that was cut off has 0.

    Raises:
        InputError: the reward function gave something else than a finite reward.
    """
    return [
        graded(reward_fn, answer.response, str(answer.problem.answer))["reward"] if answer.finished else 0.0
        for answer in answers
    ]


def evaluate_answers(
    model: TransformerLM, tokenizer: Tokenizer, problems: Sequence[Problem], *, max_new_tokens: int, seed: int
) -> tuple[dict[str, Any], list[JudgedAnswer]]:
    """Return rates of greedy answers and of samples at temperature 1, one a problem; and the greedy answers."""
    rates, answers = {}, {}
    for name, temperature in (("greedy", 0.0), ("sampled", 1.0)):
        generation = GenerationConfig(max_new_tokens=max_new_tokens, temperature=temperature)
        answers[name] = answer_problems(model, tokenizer, problems, generation, seed=seed)
        rates[name] = asdict(answer_rates(answers[name]))
    return rates, answers["greedy"]
