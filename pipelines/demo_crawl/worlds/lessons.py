"""Arithmetic lessons: worked sums and word problems below a hundred, every fact said in several ways, in paragraphs of
prose.

A number in digits is not a word for a filter that counts words with letters, so a lesson says many of its numbers in
words and adds sentences of a teacher's talk until at most `MAX_DIGIT_SHARE` of its words have no letter.

Of all worlds only this one repeats sentences on purpose: `The answer is 12, because 8 + 4 = 12.` belongs on many pages.
Less than a quarter of its longer sentences occur on a second page (held by tests/pipelines/demo_crawl/test_truth.py).
"""

from __future__ import annotations

from pipelines.demo_crawl.body import Block, Body
from pipelines.demo_crawl.clauses import CLAUSES
from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.entities import World
from pipelines.demo_crawl.grammar import Grammar
from pipelines.demo_crawl.lexicon import LEXICON, phrases
from pipelines.demo_crawl.problems import NUMBER_WORDS, THINGS, Step, WordedProblem, make_step, training_problem

MAX_DIGIT_SHARE = 0.16
"""Share of words without a letter; Gopher's rule asks for at most 0.2."""

_RULES = {
    "intro": (
        "In this lesson {person}, a {character} {role} from {town}, shows how to {aim}.",
        "Welcome to the {rank} lesson on how to {aim}, written by {person} for the school in {town}.",
        "{person} {handle+es} {things_phrase} and uses them to {aim}.",
        "Today we {aim}, and {person} from {town} helps us with {quality} examples.",
        "How do we {aim}? {person}, who teaches in {town}, explains it with {things_phrase}.",
    ),
    "talk": (
        "{person} says that {virtue} and {virtue} help more than a {quality} {tool}.",
        "A {character} pupil {handle+es} each {thing} and counts aloud, [for|since] {virtue} makes the work easy.",
        "If you are {mood}, draw a small {thing} for each number, or {handle} {things_phrase}.",
        "In {town}, {craft_clause}, and they count in the same way.",
        "Do not {handle} anything {beside} before you have read the question [twice|slowly|to the end].",
        "The {character} {role} in the next example never guesses, but counts {manner+ly}.",
        "Remember that {craft_clause}, so sums like these come up every day.",
        "Some pupils count on their fingers, others {handle} {things_phrase}, and both ways lead to the same number.",
        "{craft_clause}, and {person} uses this as an example.",
        "Read the sum aloud {when}, and then write it in a {quality} book.",
    ),
    "plus": (
        "{first_word} plus {second_word} is {total_word}",
        "{first_word} and {second_word} make {total_word}",
        "adding {second_word} to {first_word} gives {total_word}",
        "{total_word} is the sum of {first_word} and {second_word}",
        "we start at {first_word}, count {second_word} further and reach {total_word}",
        "{second_word} more than {first_word} is {total_word}",
        "{first_word} and {second_word} together are {total_word}",
    ),
    "minus": (
        "{first_word} minus {second_word} is {total_word}",
        "taking {second_word} away from {first_word} leaves {total_word}",
        "{total_word} is what is left of {first_word} without {second_word}",
        "the difference between {first_word} and {second_word} is {total_word}",
        "we start at {first_word}, count {second_word} back and reach {total_word}",
        "{second_word} less than {first_word} is {total_word}",
        "{first_word} without {second_word} is {total_word}",
    ),
    "aside": phrases("""
        In words, {fact}, and {inverse}. / Since {fact}, we also know that {inverse}. / {fact+cap}, so
        {inverse}. / You can check it the other way: {inverse}. / Say it aloud: {fact}. / {fact+cap}, and that
        is why {inverse}. / Remember that {fact}, just as {inverse}. / {person} reminds us that {inverse}. /
        {count+cap}. / To be sure, {count}. / {count+cap}, so {fact}. / With {goods} on the table, {count}.
    """),
    "worked": (
        "{fact+cap}. We write {equation}.",
        "We write {equation}, because {fact}.",
        "So {equation}, since {fact}.",
        "{equation}: {fact}.",
        "The answer is {total}, because {equation}.",
        "{fact+cap}, which is written as {equation}.",
        "{person} writes {equation} on the board and says that {fact}.",
        "{equation}. In words, {fact}.",
    ),
    "solved": (
        "Question: {prompt} Answer: {working}.",
        "{prompt} {working}.",
        "{prompt} The answer is {answer}, because {working}.",
        "{prompt} We see that {working}.",
        "{prompt} It is {answer_word}, for {working}.",
        "{prompt} {person} works it out: {working}.",
        "{role+cap} {person} asks: {prompt} The {character} pupil answers: {working}.",
        "Example: {prompt} Here {working}.",
        "Let us try one. {prompt} {working}.",
    ),
    "practice": (
        "Now some practice.",
        "Here are a few more sums to learn by heart.",
        "These belong to the same family.",
        "The following sums are worth knowing.",
    ),
    "close": (
        "{person} closes the book and says that {virtue} will do the rest.",
        "That is all for today, and the next lesson comes {when}.",
        "Whoever learns these sums can {handle} {things_phrase} without a mistake.",
        "Go over the lesson again {when}, and you will know it well.",
    ),
}
_SLOTS = phrases("""
    person / town / aim / first_word / second_word / total_word / total / goods / fact / inverse / count /
    equation / prompt / working / answer / answer_word
""")
_GRAMMAR = Grammar({**LEXICON, **CLAUSES, **_RULES}, slots=_SLOTS)

_TITLES = (
    "Adding and taking away, lesson {n}",
    "Sums within twenty, part {n}",
    "Lesson {n}: numbers in daily life",
    "Counting with {person}, lesson {n}",
    "Word problems, sheet {n}",
    "Mental arithmetic {n}",
    "Arithmetic from {town}, lesson {n}",
)
_AIMS = (
    "add small numbers",
    "take one number from another",
    "add and subtract",
    "solve word problems",
    "work with numbers up to twenty",
    "check a sum",
)


def lesson(world: World, dice: Dice) -> Body:
    """Return a lesson of four to six examples."""
    slots = {"person": dice.pick(world.given_names), "town": world.any("town", dice)["name"], "aim": dice.pick(_AIMS)}
    title = dice.pick(_TITLES).format(n=dice.between(1, 480), **slots)
    examples = [_example(slots, dice) for _ in range(dice.between(4, 6))]
    half = len(examples) // 2
    parts = [[_GRAMMAR.sentence("intro", dice, dict(slots)), *examples[:half]], examples[half:]]
    for part in parts:
        _add_talk(part, slots, dice)
    blocks = [Block("p", (" ".join(part),)) for part in parts]
    if dice.chance(0.5):
        blocks += _practice(slots, dice)
    blocks.append(Block("p", (_closing(slots, dice),)))
    return Body(title, tuple(blocks))


def _example(slots: dict[str, str], dice: Dice) -> str:
    """Return a solved problem or a plain fact, then its last equation in other words."""
    if dice.chance(0.25):
        step = make_step(dice.pick(("+", "-")), 0, dice)
        return f"{_worked(step, slots, dice)} {_aside(step, slots, dice)}"
    problem = training_problem(dice)
    solved = _GRAMMAR.sentence("solved", dice, slots | _problem_slots(problem))
    more = [_aside(problem.steps[-1], slots, dice)]
    if dice.chance(0.4):
        more.insert(0, _worked(problem.steps[-1], slots, dice))
    return " ".join((solved, *more))


def _aside(step: Step, slots: dict[str, str], dice: Dice) -> str:
    return _GRAMMAR.sentence("aside", dice, slots | _step_slots(step, dice))


def _worked(step: Step, slots: dict[str, str], dice: Dice) -> str:
    return _GRAMMAR.sentence("worked", dice, slots | _step_slots(step, dice))


def _step_slots(step: Step, dice: Dice) -> dict[str, str]:
    """Return sentences about one equation: a fact in words, its inverse, and the solution by counting."""
    return {
        "fact": _in_words(step, dice),
        "inverse": _in_words(_turned_round(step, dice), dice),
        "count": _counting(step),
        "goods": dice.pick(THINGS),
        "equation": str(step),
        "total": str(step.result),
        "total_word": NUMBER_WORDS[step.result],
    }


def _in_words(step: Step, dice: Dice) -> str:
    numbers = {"first_word": step.left, "second_word": step.right, "total_word": step.result}
    spelled = {name: NUMBER_WORDS[number] for name, number in numbers.items()}
    return _GRAMMAR.expand("plus" if step.sign == "+" else "minus", dice, spelled)


def _turned_round(step: Step, dice: Dice) -> Step:
    """Return the same fact from another side: a + b = c as b + a = c or c - b = a; c - b = a as a + b = c."""
    if step.sign == "-":
        return Step(step.result, "+", step.right, step.left)
    if dice.chance(0.5):
        return Step(step.right, "+", step.left, step.result)
    return Step(step.result, "-", step.right, step.left)


def _counting(step: Step) -> str:
    """Return `we count on from seven: eight, nine, ten`; of two digits, the ones and the tens apart."""
    if step.right == 0:
        return f"nothing changes, and {NUMBER_WORDS[step.left]} stays {NUMBER_WORDS[step.left]}"
    if max(step.left, step.result) > 20:
        return f"{_by_place(step, 1)} ones, and {_by_place(step, 10)} tens"
    way = 1 if step.sign == "+" else -1
    passed = ", ".join(NUMBER_WORDS[number] for number in range(step.left + way, step.result + way, way))
    return f"we count {'on' if way == 1 else 'back'} from {NUMBER_WORDS[step.left]}: {passed}"


def _by_place(step: Step, place: int) -> str:
    """Return `three plus four is seven`: the equation of the ones, or of the tens."""
    left, right, result = (NUMBER_WORDS[number // place % 10] for number in (step.left, step.right, step.result))
    return f"{left} {'plus' if step.sign == '+' else 'minus'} {right} is {result}"


def _problem_slots(problem: WordedProblem) -> dict[str, str]:
    return {
        "prompt": problem.prompt,
        "working": problem.working,
        "answer": str(problem.answer),
        "answer_word": NUMBER_WORDS[problem.answer],
    }


def _practice(slots: dict[str, str], dice: Dice) -> list[Block]:
    """Return a line of introduction and a list of equations, each with its words."""
    lines = []
    for _ in range(dice.between(2, 4)):
        step = make_step(dice.pick(("+", "-")), 0, dice)
        lines.append(f"{step}, because {_step_slots(step, dice)['fact']}, and {_GRAMMAR.expand('craft', dice, {})}.")
    return [Block("p", (_GRAMMAR.sentence("practice", dice),)), Block("ul", tuple(dict.fromkeys(lines)))]


def _closing(slots: dict[str, str], dice: Dice) -> str:
    return f"{_GRAMMAR.sentence('talk', dice, dict(slots))} {_GRAMMAR.sentence('close', dice, dict(slots))}"


def _add_talk(part: list[str], slots: dict[str, str], dice: Dice) -> None:
    """Put sentences without digits between the examples until the words without a letter are few enough."""
    plain, total = _count_words(" ".join(part))
    talk = _GRAMMAR.deal("talk", 5, dice, slots)
    while plain > MAX_DIGIT_SHARE * total:
        if talk and dice.chance(0.6):
            sentence = talk.pop()
        else:
            sentence = _aside(make_step(dice.pick(("+", "-")), 1, dice), slots, dice)
        total += sentence.count(" ") + 1
        part.insert(dice.between(1, len(part)), sentence)


def _count_words(text: str) -> tuple[int, int]:
    """Return the number of words without a letter, and the number of all words."""
    found = text.split()
    return sum(not any(map(str.isalpha, word)) for word in found), len(found)
