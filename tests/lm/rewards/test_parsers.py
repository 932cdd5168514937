"""Answers are found in the form they were agreed in, and nowhere else."""

import pytest

from lm.rewards.parsers import boxed_answer, chosen_letter, last_number, marked_answer, think_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("She sold 48/2 = 24 clips, 48+24 = 72 in all.", "72"),
        ("It costs $1,234,567.50.", "1234567.50"),
        ("x = -5", "-5"),
        ("that is 9-4", "4"),
        ("1,2", "2"),
        ("0.5", "0.5"),
        ("none", None),
        ("", None),
        ("٧", None),
    ],
)
def test_the_last_number(text, answer):
    assert last_number(text) == answer


@pytest.mark.parametrize(("text", "answer"), [("so\n#### 1,072", "1072"), ("#### -3", "-3"), ("72", None)])
def test_the_marked_answer(text, answer):
    assert marked_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{\frac{3}{4}}.", r"\frac{3}{4}"),
        (r"\boxed {5} and again \boxed{5}", "5"),
        (r"\fbox{x}", "x"),
        (r"\boxed{1} or \boxed{2}", None),
        (r"\boxed{1", None),
        (r"\boxed{" + "{" * 1_000, None),
        ("5", None),
    ],
)
def test_the_boxed_answer(text, answer):
    assert boxed_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("B", "B"),
        ("(C).", "C"),
        ("The correct answer is B.", "B"),
        ("Answer: (D)", "D"),
        ("I think A and B are wrong, so the answer is C", "C"),
        ("The answer is A. No, the answer is B.", None),
        ("The answer is A or B", None),
        ("The answer is A, B, C, D", None),
        ("ABCD", None),
        ("A B C D", None),
        ("The answer is Apple", None),
        ("E", None),
        ("b", None),
    ],
)
def test_the_chosen_letter(text, answer):
    assert chosen_letter(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>2+2</think> <answer> 4 </answer>", "4"),
        ("so: <think>a\nb</think>\n<answer>4</answer>\n", "4"),
        ("<answer>4</answer>", None),
        ("<think>x</think> 5 <answer>4</answer>", None),
        ("<think>x</think> <answer>4</answer> <answer>5</answer>", None),
        ("<think>x <answer>4</answer></think>", None),
        ("<think>x</think> <answer></answer>", None),
        ("<think>x</think> <answer>4</answer> or 5", None),
    ],
)
def test_think_and_answer(text, answer):
    assert think_answer(text) == answer
