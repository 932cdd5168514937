"""Sums and word problems of one step or two, with worked answers that are right by construction.

Most stay within ten; the others have numbers of two digits, whose tens stay, so that nothing is carried.

A problem's text decides for itself whether it is held out (`is_held_out`): lessons and training data take only the
others, so no list of forbidden texts has to be passed around.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import phrases, words

HELD_OUT_ONE_IN = 8
"""One problem text in so many is held out."""

TWO_DIGIT_SHARE = 0.08
"""Share of problems, and of plain facts, with numbers of two digits."""

TWO_STEP_SHARE = 0.5
BARE_SHARE = 0.2

_TO_NINETEEN = words("""
    zero one two three four five six seven eight nine ten
    eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
""")
_TENS = words("twenty thirty forty fifty sixty seventy eighty ninety")
NUMBER_WORDS = (
    *_TO_NINETEEN,
    *(f"{tens}-{ones}" if ones != "zero" else tens for tens in _TENS for ones in _TO_NINETEEN[:10]),
)
"""The numbers from zero to ninety-nine in words."""

SHE = words("""
    Anna Mia Lena Sara Ruth Nora Lucy Ella Rosa Clara Emma Ida Jane Kate Lily Maya Nina Olga Paula Tina Vera Zoe Ada
    Beth
""")
HE = words(
    "Tom Ben Max Sam Paul Jack Leo Adam Carl Dan Eric Finn Gus Hugo Ivan Joe Karl Luke Mark Nick Otto Pete Rob Theo"
)
THINGS = words("""
    apples pears plums cherries lemons oranges nuts eggs cakes buns sweets cookies carrots beans marbles coins stamps
    buttons beads shells stones sticks leaves flowers roses books pens pencils cards stickers ribbons toys balls boats
    kites dolls drums bells keys nails bricks cups plates spoons candles hats socks gloves tickets letters boxes
""")


@dataclass(frozen=True, slots=True)
class Step:
    """One equation, as in 7 + 5 = 12."""

    left: int
    sign: str
    right: int
    result: int

    def __str__(self) -> str:
        return f"{self.left} {self.sign} {self.right} = {self.result}"


@dataclass(frozen=True, slots=True)
class WordedProblem:
    """A question in words, the equations that answer it, and the words it was made of."""

    prompt: str
    steps: tuple[Step, ...]
    slots: Mapping[str, str]

    @property
    def answer(self) -> int:
        """The result of the last equation."""
        return self.steps[-1].result

    @property
    def working(self) -> str:
        """The equations in a row: `7 + 5 = 12` or `7 + 5 = 12, 12 - 3 = 9`."""
        return ", ".join(map(str, self.steps))


_BARE = {
    "+": phrases("""
        What is {a} + {b}? / What is {a} plus {b}? / Calculate {a} + {b}. / {a} + {b} = ? / Add {a} and {b}. /
        How much is {a} + {b}? / How much is {a} plus {b}? / Work out {a} + {b}. / What is the sum of {a} and
        {b}? / Which number is {b} more than {a}? / What do you get when you add {b} to {a}? / Find {a} + {b}.
        / Please add {b} to {a}.
    """),
    "-": (
        "What is {a} - {b}?",
        "What is {a} minus {b}?",
        "Calculate {a} - {b}.",
        "{a} - {b} = ?",
        "Subtract {b} from {a}.",
        "How much is {a} - {b}?",
        "How much is {a} minus {b}?",
        "Work out {a} - {b}.",
        "What is the difference between {a} and {b}?",
        "Which number is {b} less than {a}?",
        "What is left when you take {b} from {a}?",
        "Find {a} - {b}.",
        "Take {b} away from {a}.",
    ),
}

_STORIES = {
    "+": (
        "{who} has {a} {things} and [buys|finds|gets] {b} more. How many {things} does {who} have now?",
        "{who} has {a} {things}. {friend} gives {them} {b} more. How many {things} does {who} have?",
        "There are {a} {things} on the table and {b} in the box. How many {things} are there in all?",
        "{who} picked {a} {things} in the morning and {b} in the afternoon. How many {things} did {they} pick?",
        "{who} has {a} {things} and {friend} has {b}. How many {things} do they have together?",
        "{who} put {a} {things} in a bag. Then {they} put {b} more in. How many {things} are in the bag?",
        "A shop sold {a} {things} on Monday and {b} on Tuesday. How many {things} did it sell?",
        "{who} found {a} {things}, and {friend} found {b}. How many {things} did they find in total?",
        "{who} needs {a} {things} for {friend} and {b} for {themself}. How many {things} does {they} need in all?",
        "{friend} has {a} {things}. {who} has {b} more than {friend}. How many {things} does {who} have?",
        "{who} counts {a} red {things} and {b} blue {things}. How many {things} does {they} count?",
        "Yesterday {who} had {a} {things}. Today {they} got {b} more. How many {things} is that?",
        "{who} saved {a} euros in May and {b} euros in June. How many euros did {they} save?",
        "A ticket costs {a} euros and lunch costs {b} euros. How many euros does {who} pay for both?",
        "{who} walked {a} miles before lunch and {b} miles after it. How many miles did {they} walk?",
        "{friend} is {a} years old, and {who} is {b} years older. How old is {who}?",
        "There were {a} people on the bus, and {b} more got on. How many people are on the bus?",
        "{who} read {a} pages on Monday and {b} pages on Tuesday. How many pages did {they} read?",
    ),
    "-": (
        "{who} has {a} {things} and [gives away|loses|sells] {b}. How many {things} does {who} have left?",
        "{who} has {a} {things}. {they_cap} gives {b} to {friend}. How many {things} are left?",
        "There were {a} {things} in the basket. {who} took {b}. How many {things} are still in it?",
        "{who} had {a} {things} and {b} of them broke. How many {things} are whole?",
        "A shop had {a} {things} and sold {b}. How many {things} are left in the shop?",
        "{who} has {a} {things} and {friend} has {b}. How many more {things} does {who} have?",
        "{who} wants {a} {things} and already has {b}. How many more {things} does {they} need?",
        "Of {a} {things}, {b} belong to {friend}. The others belong to {who}. How many are those?",
        "{who} took {a} {things} to school and came home with {b}. How many {things} did {they} leave there?",
        "{who} had {a} {things}. After {friend} borrowed {b}, how many {things} did {who} have?",
        "{who} puts {a} {things} in two boxes, {b} of them in the first. How many {things} are in the second?",
        "{who} has {b} {things} fewer than {friend}, who has {a}. How many {things} does {who} have?",
        "{who} has {a} euros and pays {b} euros for lunch. How many euros are left?",
        "The road is {a} miles long, and {who} has walked {b} miles. How many miles are left?",
        "{who} is {a} years old, and {friend} is {b} years younger. How old is {friend}?",
        "There were {a} people on the bus, and {b} got off. How many people are still on the bus?",
        "A book has {a} pages, and {who} has read {b} pages. How many pages are left?",
    ),
    "++": (
        "{who} has {a} {things}, gets {b} more and then finds {c}. How many {things} does {who} have?",
        "{who} had {a} {things}. {they_cap} bought {b}, and {friend} gave {them} {c}. How many {things} is that?",
        "There are {a} {things} in a box. {who} adds {b} and {friend} adds {c}. How many {things} are in the box?",
        "{who} walked {a} miles on Monday, {b} on Tuesday and {c} on Friday. How many miles did {they} walk?",
        "{who} paid {a} euros for lunch, {b} for tea and {c} for a bus. How many euros did {they} pay?",
    ),
    "+-": (
        "{who} has {a} {things}, gets {b} more and then gives away {c}. How many {things} does {who} have?",
        "{who} had {a} {things}. {they_cap} bought {b} and lost {c}. How many {things} are left?",
        "There are {a} {things} in a box. {who} adds {b} and {friend} takes {c}. How many {things} are in the box?",
        "There were {a} people on the bus, {b} got on and {c} got off. How many people are on the bus?",
        "{who} had {a} euros, earned {b} and paid {c} for lunch. How many euros are left?",
    ),
    "-+": (
        "{who} has {a} {things}, gives {b} to {friend} and then finds {c}. How many {things} does {who} have?",
        "A shop has {a} {things}. It sells {b} and gets {c} new ones. How many {things} does it have?",
        "{who} lost {b} of {a} {things} and then bought {c}. How many {things} does {they} have now?",
        "There were {a} people on the bus, {b} got off and {c} got on. How many people are on the bus?",
        "{who} had {a} euros, paid {b} for lunch and earned {c}. How many euros does {they} have?",
    ),
    "--": (
        "{who} has {a} {things}, loses {b} and then gives away {c}. How many {things} does {who} have?",
        "{who} had {a} {things}. {they_cap} sold {b} and lost {c}. How many {things} are left?",
        "There are {a} {things} in a box. {who} takes {b} and {friend} takes {c}. How many {things} are in the box?",
        "{who} had {a} euros, paid {b} for lunch and {c} for tea. How many euros are left?",
        "A book has {a} pages. {who} read {b} on Monday and {c} on Tuesday. How many pages are left?",
    ),
}

_SLOTS = phrases("""
    who / they / they_cap / them / themself / friend / things / a / b / c
""")
_GRAMMAR = Grammar(
    {f"bare {signs}": frames for signs, frames in _BARE.items()}
    | {f"story {signs}": frames for signs, frames in _STORIES.items()},
    slots=_SLOTS,
)


def make_problem(dice: Dice, *, bare: bool | None = None) -> WordedProblem:
    """Return a random problem: a bare sum, a word problem of one step, or (half of all) one of two steps. `bare`
    decides for one or the other.
    """
    if bare is None:
        bare = dice.chance(BARE_SHARE)
    two_steps = not bare and dice.chance(TWO_STEP_SHARE / (1 - BARE_SHARE))
    signs = dice.pick(("++", "+-", "-+", "--") if two_steps else ("+", "-"))
    steps = _steps(signs, dice)
    slots = _people(dice) | {"a": str(steps[0].left), "b": str(steps[0].right), "c": str(steps[-1].right)}
    prompt = _GRAMMAR.sentence(f"{'bare' if bare else 'story'} {signs}", dice, slots)
    return WordedProblem(prompt, steps, MappingProxyType(slots))


def is_held_out(prompt: str) -> bool:
    """Return whether a problem's text belongs to the held-out part, decided by the text alone."""
    return hashlib.blake2b(prompt.encode(), digest_size=8).digest()[0] % HELD_OUT_ONE_IN == 0


def training_problem(dice: Dice, *, bare: bool | None = None) -> WordedProblem:
    """Return a random problem that is not held out."""
    while True:
        problem = make_problem(dice, bare=bare)
        if not is_held_out(problem.prompt):
            return problem


def make_step(sign: str, smallest: int, dice: Dice) -> Step:
    """Return an equation of the table: `a + b` of two numbers up to ten, or what takes one of them away again.

    More rarely it has two digits.
    """
    if dice.chance(TWO_DIGIT_SHARE):
        return _two_digits(sign, smallest, dice)[0]
    a, b = dice.between(smallest, 10), dice.between(smallest, 10)
    return Step(a, "+", b, a + b) if sign == "+" else Step(a + b, "-", b, a)


def _steps(signs: str, dice: Dice) -> tuple[Step, ...]:
    """Return equations that go on from each other's result, within ten or of two digits, of numbers that a story can
    have.
    """
    if dice.chance(TWO_DIGIT_SHARE):
        return _two_digits(signs, 2, dice)
    numbers = range(2, 11)
    return _walk(signs, numbers, numbers, 10, dice)


def _two_digits(signs: str, smallest: int, dice: Dice) -> tuple[Step, ...]:
    """Return equations within nine, moved up by some tens."""
    tens = 10 * dice.between(1, 9)
    steps = _walk(signs, range(smallest, 10), range(smallest, 10), 9, dice)
    return tuple(Step(tens + step.left, step.sign, step.right, tens + step.result) for step in steps)


def _walk(signs: str, first: Sequence[int], others: Sequence[int], largest: int, dice: Dice) -> tuple[Step, ...]:
    """Return equations that go on from each other's result, drawn until all results lie between 0 and `largest`."""
    while True:
        result, steps = dice.pick(first), list[Step]()
        for sign in signs:
            left, right = result, dice.pick(others)
            result = left + right if sign == "+" else left - right
            steps.append(Step(left, sign, right, result))
        if all(0 <= step.result <= largest for step in steps):
            return tuple(steps)


def _people(dice: Dice) -> dict[str, str]:
    she = dice.chance(0.5)
    who, friend = dice.sample(SHE if she else HE, 1)[0], dice.pick((*SHE, *HE))
    while friend == who:
        friend = dice.pick((*SHE, *HE))
    pronouns = ("she", "She", "her", "herself") if she else ("he", "He", "him", "himself")
    they, they_cap, them, themself = pronouns
    return {
        "who": who,
        "friend": friend,
        "things": dice.pick(THINGS),
        "they": they,
        "they_cap": they_cap,
        "them": them,
        "themself": themself,
    }
