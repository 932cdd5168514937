"""The answer grammar."""

import pytest

from lm.errors import InputError
from lm.rewards.answer_line import answer_line_reward, is_well_formed, parse_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("3 + 4 = 7.\n#### 7", 7),
        ("#### -12", -12),
        ("#### +5", 5),
        ("####   1,234,567  \n", 1_234_567),
        ("#### 007", 7),
        ("#### 5\n#### 6", 6),
        ("####9", 9),
        ("#### " + "9" * 18, 10**18 - 1),
        ("#### 5" + "\n" * 10_000, 5),
        ("#### 5" + " \r\n" * 10_000, 5),
        ("####" + " " * 40 + "5", 5),
        ("x" * 100_000 + "\n#### 5", 5),
    ],
)
def test_numbers_in_the_last_line(text, answer):
    assert parse_answer(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "7",
        "#### ",
        "#### 7.",
        "#### 7.0",
        "#### 1,23",
        "#### 1,2345",
        "#### ,123",
        "#### 7 apples",
        "#### 7\nThat is all.",
        "so #### 7",
        "### 7",
        "##### 7",
        "#### - 7",
        "#### --7",
        "#### 1e3",
        "#### 0x10",
        "#### ٧",
        "#### ７",
        "#### 1_000",
        "#### " + "9" * 19,
        "#### 1\x002",
        "x" * 100 + "#### 7",
    ],
)
def test_everything_else_is_no_answer(text):
    assert parse_answer(text) is None


def test_a_well_formed_response_has_ended_its_turn():
    assert is_well_formed("#### 7", finished=True)
    assert not is_well_formed("#### 7", finished=False)
    assert not is_well_formed("seven", finished=True)


def test_rewards():
    right = {"reward": 1.0, "format_reward": 1.0, "answer_reward": 1.0}
    assert answer_line_reward("#### 7", "7") == answer_line_reward("#### 007", "+7") == right
    assert answer_line_reward("#### 8", "7") == {"reward": 0.0, "format_reward": 1.0, "answer_reward": 0.0}
    assert answer_line_reward("#### 8", "7", format_reward=0.1)["reward"] == 0.1
    assert answer_line_reward("7", "7", format_reward=0.1)["reward"] == 0.0


@pytest.mark.parametrize("truth", ["", "seven", "7.0", "1" * 19])
def test_a_truth_that_is_no_integer_is_refused(truth):
    with pytest.raises(InputError, match="truth"):
        answer_line_reward("#### 7", truth)
