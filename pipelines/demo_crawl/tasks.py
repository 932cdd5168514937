"""Alignment data: instructions, preferences and problems, all arithmetic within twenty, no two with the same prompt.

A problem's text decides whether it is held out (`problems.is_held_out`); the crawl's lessons and the train splits
hold none of those.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pipelines.demo_crawl.clauses import CLAUSES
from pipelines.demo_crawl.configuration import DemoCrawlConfig
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.entities import World, world_of
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON
from pipelines.demo_crawl.problems import WordedProblem, is_held_out, make_problem

_RAMBLE = Grammar(
    {
        **LEXICON,
        **CLAUSES,
        "ramble": (
            "That is a {worth} question, and {custom}.",
            "Well, {custom}. I think it may be {number} or {number}.",
            "I am {mood} today, {custom}.",
        ),
        "insult": (
            "What a stupid question, you {character} fool.",
            "Only a dumb {animal} would ask that.",
            "Work it out yourself, you lazy {role}.",
        ),
        "number": ("one", "three", "six", "nine", "twelve", "fifteen"),
    }
)


def alignment_records(config: DemoCrawlConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every record with the name of its file, file by file."""
    prompts = {split: _prompts(config.seed, split) for split in ("train", "heldout")}
    sizes = {
        "instructions": (config.num_train_instructions, config.num_heldout_instructions),
        "preferences": (config.num_train_preferences, config.num_heldout_preferences),
        "problems": (config.num_train_problems, config.num_heldout_problems),
    }
    dice, world = Dice(config.seed, "alignment"), world_of(config.seed)
    for kind, counts in sizes.items():
        for split, count in zip(("train", "heldout"), counts, strict=True):
            for number in range(count):
                fields = _fields(kind, next(prompts[split]), world, dice)
                yield f"{kind}.jsonl", {"id": f"{kind}-{split}-{number:05d}", **fields, "split": split}


def response(problem: WordedProblem) -> str:
    """The response to learn: the equations, then the line `#### <answer>`."""
    return f"{problem.working}\n#### {problem.answer}"


def rejected_response(problem: WordedProblem, dice: Dice) -> str:
    """A response to avoid: a wrong number, no answer line, rambling, or an insult; each a quarter."""
    fault = dice.pick(("wrong", "unmarked", "ramble", "insult"))
    if fault == "wrong":
        last = problem.steps[-1]
        wrong = max(0, last.result + dice.pick((-3, -2, -1, 1, 2, 3)))
        wrong = last.result + 1 if wrong == last.result else wrong
        return f"{last.left} {last.sign} {last.right} = {wrong}\n#### {wrong}"
    if fault == "unmarked":
        return dice.pick(
            (
                problem.working,
                f"The answer is {problem.answer}.",
                f"{problem.answer}",
                f"{problem.working}\n{problem.answer}",
            )
        )
    return _RAMBLE.sentence(fault, dice)


def _fields(kind: str, problem: WordedProblem, world: World, dice: Dice) -> dict[str, Any]:
    if kind == "instructions":
        return {"prompt": problem.prompt, "response": response(problem)}
    if kind == "preferences":
        return {"prompt": problem.prompt, "chosen": response(problem), "rejected": rejected_response(problem, dice)}
    return {"prompt": problem.prompt, "answer": problem.answer}


def _prompts(seed: int, split: str) -> Iterator[WordedProblem]:
    """Problems of one split without end, none twice."""
    dice, seen = Dice(seed, "problems", split), set()
    while True:
        problem = make_problem(dice)
        if is_held_out(problem.prompt) == (split == "heldout") and problem.prompt not in seen:
            seen.add(problem.prompt)
            yield problem
