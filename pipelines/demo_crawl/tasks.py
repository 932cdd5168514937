"""Alignment data: instructions, preferences and problems, all arithmetic within twenty, no two with the same prompt.

A problem's text decides whether it is held out (`problems.is_held_out`); the crawl's lessons and the train splits
hold none of those.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pipelines.demo_crawl.clauses import CLAUSES
from pipelines.demo_crawl.configuration import DemoCrawlConfig
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON
from pipelines.demo_crawl.problems import WordedProblem, is_held_out, make_problem

SPLITS = ("train", "heldout")

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
    sizes = {
        "instructions": (config.num_train_instructions, config.num_heldout_instructions),
        "preferences": (config.num_train_preferences, config.num_heldout_preferences),
        "problems": (config.num_train_problems, config.num_heldout_problems),
    }
    totals = [sum(counts) for counts in zip(*sizes.values(), strict=True)]
    dealt = {split: iter(_prompts(config.seed, split, total)) for split, total in zip(SPLITS, totals, strict=True)}
    dice = Dice(config.seed, "alignment")
    for kind, counts in sizes.items():
        for split, count in zip(SPLITS, counts, strict=True):
            for number, problem in enumerate(islice(dealt[split], count)):
                fields = _fields(kind, problem, dice)
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


def _fields(kind: str, problem: WordedProblem, dice: Dice) -> dict[str, Any]:
    if kind == "instructions":
        return {"prompt": problem.prompt, "response": response(problem)}
    if kind == "preferences":
        return {"prompt": problem.prompt, "chosen": response(problem), "rejected": rejected_response(problem, dice)}
    return {"prompt": problem.prompt, "answer": problem.answer}


def _prompts(seed: int, split: str, number: int) -> list[WordedProblem]:
    """`number` problems of one split, none twice; shuffled, since the bare sums of a table run out and would come
    early."""
    dice, found = Dice(seed, "problems", split), dict[str, WordedProblem]()
    while len(found) < number:
        problem = make_problem(dice)
        if is_held_out(problem.prompt) == (split == "heldout"):
            found.setdefault(problem.prompt, problem)
    return dice.shuffled(tuple(found.values()))
