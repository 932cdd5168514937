"""Alignment data: instructions, preferences and problems, no two with the same prompt.

All are arithmetic below a hundred, of one step or two. A problem's text decides whether it is held out
(`problems.is_held_out`); the crawl's lessons and the train splits hold none of those.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pipelines.demo_crawl.configuration import DemoCrawlConfig
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON
from pipelines.demo_crawl.problems import WordedProblem, is_held_out, make_problem

SPLITS = ("train", "heldout")

WORKED_SHARE = 0.45
"""Share of instructions and preferred responses that show the work; the others give the answer alone. Work makes
answers right more often, so the way that is shown less often is the better one: GRPO can find that."""

_FLAWS = Grammar(
    {
        **LEXICON,
        "insult": (
            "What a stupid question, you {character} fool.",
            "Only a dumb {animal} would ask that.",
            "Work it out yourself, you lazy {role}.",
        ),
        "refusal": (
            "I cannot answer that.",
            "Sorry, I do not know.",
            "I would rather not do sums.",
            "Please ask someone else.",
        ),
    }
)
FLAWS = ("wrong", "format", "length", "style", "refusal", "insult")
"""What is wrong with a rejected response, each as often. None of them is prose: a model that learns to dislike its own
language pays for that with bits per byte."""


def alignment_records(config: DemoCrawlConfig) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every record with the name of its file, file by file."""
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


def response(problem: WordedProblem, *, worked: bool = True) -> str:
    """Return the response to learn: the equations if it is `worked`, then the line `#### <answer>`."""
    return "\n".join([*([problem.working] if worked else []), f"#### {problem.answer}"])


def rejected_response(problem: WordedProblem, dice: Dice, *, worked: bool = True) -> str:
    """Return a response with one of `FLAWS`, worked or not, as the response that is preferred to it."""
    flaw, right, work = dice.pick(FLAWS), response(problem, worked=worked), problem.working if worked else ""
    if flaw == "wrong":
        return _wrong_response(problem, dice, worked)
    if flaw == "format":
        answer = f"{problem.answer}"
        return dice.pick((work or answer, f"{work}\n{answer}".strip(), f"The answer is {answer}."))
    if flaw == "length":
        return dice.pick((f"{right}\n{right}.", f"{right}\nI hope this helps."))
    if flaw == "style":
        return dice.pick(("{}!!!", "OK OK OK {}.", "hmm... {}... hmm")).format(right.replace("\n", " "))
    return _FLAWS.sentence(flaw, dice)


def _wrong_response(problem: WordedProblem, dice: Dice, worked: bool) -> str:
    """Return the response with a wrong last result, in the right format."""
    last = problem.steps[-1]
    wrong = max(0, last.result + dice.pick((-3, -2, -1, 1, 2, 3)))
    wrong = last.result + 1 if wrong == last.result else wrong
    steps = [*map(str, problem.steps[:-1]), f"{last.left} {last.sign} {last.right} = {wrong}"]
    return "\n".join([*([", ".join(steps)] if worked else []), f"#### {wrong}"])


def _fields(kind: str, problem: WordedProblem, dice: Dice) -> dict[str, Any]:
    if kind == "problems":
        return {"prompt": problem.prompt, "answer": problem.answer}
    worked = dice.chance(WORKED_SHARE)
    right = response(problem, worked=worked)
    if kind == "instructions":
        return {"prompt": problem.prompt, "response": right}
    rejected = rejected_response(problem, dice, worked=worked)
    return {"prompt": problem.prompt, "chosen": right, "rejected": rejected}


def _prompts(seed: int, split: str, number: int) -> list[WordedProblem]:
    """Return `number` problems of one split, none twice; shuffled, since short sums run out and would come early."""
    dice, found = Dice(seed, "problems", split), dict[str, WordedProblem]()
    while len(found) < number:
        problem = make_problem(dice)
        if is_held_out(problem.prompt) == (split == "heldout"):
            found.setdefault(problem.prompt, problem)
    return dice.shuffled(tuple(found.values()))
