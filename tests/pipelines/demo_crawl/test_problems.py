"""Problems and alignment data: right, well-formed, and split by text."""

import re
from collections import Counter

import pytest

from pipelines.demo_crawl.dice import Dice
from pipelines.demo_crawl.problems import NUMBER_WORDS, TWO_DIGIT_SHARE, TWO_STEP_SHARE, is_held_out, make_problem
from pipelines.demo_crawl.tasks import FLAWS, WORKED_SHARE, rejected_response, response

EQUATION = re.compile(r"(\d+) ([+-]) (\d+) = (\d+)")


def holds(left, sign, right, result):
    return int(left) + (int(right) if sign == "+" else -int(right)) == int(result)


@pytest.fixture(scope="module")
def problems():
    return [make_problem(Dice("problem", number)) for number in range(3000)]


def test_answers_follow_from_the_numbers_of_the_text(problems):
    """The prompt's own numbers, combined by the signs of the working, give the answer."""
    for problem in problems:
        numbers = [int(number) for number in re.findall(r"\d+", problem.prompt)]
        operands = [problem.steps[0].left, *(step.right for step in problem.steps)]
        assert sorted(numbers) == sorted(operands), problem.prompt
        total = operands[0] + sum(step.right if step.sign == "+" else -step.right for step in problem.steps)
        assert problem.answer == total and 0 <= total <= 99


def test_word_problems_ask_in_many_ways(problems):
    shapes = Counter(re.sub(r"\d+|[A-Z][a-z]+", "_", problem.prompt) for problem in problems)
    assert len(shapes) > 200  # frames times things


def test_half_have_two_steps_of_every_pair_of_signs(problems):
    signs = Counter("".join(step.sign for step in problem.steps) for problem in problems)
    two = {pair: count for pair, count in signs.items() if len(pair) == 2}
    assert abs(sum(two.values()) / len(problems) - TWO_STEP_SHARE) < 0.03
    assert set(two) == {"++", "+-", "-+", "--"} and min(two.values()) > 0.2 * sum(two.values())


def test_a_share_has_two_digits_and_carries_nothing(problems):
    """All numbers of such a problem but its first operand's tens are those of a problem within nine."""
    large = [problem for problem in problems if any(max(s.left, s.right, s.result) > 10 for s in problem.steps)]
    assert abs(len(large) / len(problems) - TWO_DIGIT_SHARE) < 0.02
    for problem in large:
        assert len({number // 10 for step in problem.steps for number in (step.left, step.result)}) == 1
        assert all(step.right < 10 <= min(step.left, step.result) for step in problem.steps)


def test_numbers_in_words():
    assert len(set(NUMBER_WORDS)) == 100
    assert [NUMBER_WORDS[n] for n in (0, 13, 20, 21, 70, 99)] == [
        "zero", "thirteen", "twenty", "twenty-one", "seventy", "ninety-nine"
    ]  # fmt: skip


def test_responses_are_worked_and_marked(problems):
    for problem in problems:
        working, marked = response(problem).split("\n")
        assert marked == response(problem, worked=False) == f"#### {problem.answer}"
        assert all(holds(*equation) for equation in EQUATION.findall(working))


def test_the_better_way_is_the_rarer_one(demo_crawl):
    """Fewer instructions show the work than do not; a pair's responses show it both or neither."""
    train = [record["response"] for record in demo_crawl.json_lines("instructions.jsonl") if record["split"] == "train"]
    assert abs(sum("=" in text for text in train) / len(train) - WORKED_SHARE) < 0.06 and WORKED_SHARE < 0.5
    for pair in demo_crawl.json_lines("preferences.jsonl"):
        assert "=" in pair["chosen"] or "=" not in pair["rejected"]
        assert "=" not in pair["chosen"] or "=" in pair["rejected"] or "####" not in pair["rejected"]


@pytest.mark.parametrize("worked", [False, True])
def test_rejected_responses_are_wrong_or_badly_formed(problems, worked):
    for number, problem in enumerate(problems[:600]):
        rejected = rejected_response(problem, Dice("rejected", number), worked=worked)
        assert rejected and rejected.rsplit("\n")[-1] != f"#### {problem.answer}"


def test_every_flaw_is_drawn_and_none_is_prose(problems):
    """Those with a wrong number in the right form are one flaw's share; no rejected response is a sentence of text."""
    rejected = [rejected_response(problem, Dice("flaw", number)) for number, problem in enumerate(problems)]
    marked = sum(bool(re.search(r"\n#### \d+$", text)) for text in rejected) / len(rejected)
    assert abs(marked - 1 / len(FLAWS)) < 0.03
    assert len(set(rejected)) > 300
    wordy = [text for text in rejected if len(re.findall(r"[A-Za-z]{2,}", text)) > 9]
    assert wordy == []


def test_splits_share_no_prompt(demo_crawl):
    heldout, train = set(), set()
    for name in ("instructions", "preferences", "problems"):
        records = demo_crawl.json_lines(f"{name}.jsonl")
        assert len({record["id"] for record in records}) == len(records) == demo_crawl.counts[f"num_{name}"]
        for record in records:
            (heldout if record["split"] == "heldout" else train).add(record["prompt"])
            assert is_held_out(record["prompt"]) == (record["split"] == "heldout")
    assert not heldout & train and len(heldout) == 160 and len(train) == 1500


def test_no_held_out_prompt_is_in_the_crawl(demo_crawl):
    crawl = "\n".join(row["body_text"] for row in demo_crawl.rows)
    records = [
        record
        for name in ("instructions", "preferences", "problems")
        for record in demo_crawl.json_lines(f"{name}.jsonl")
    ]
    assert [record["prompt"] for record in records if record["split"] == "heldout" and record["prompt"] in crawl] == []
    assert any(record["prompt"] in crawl for record in records)  # and the others may be


def test_every_equation_of_the_lessons_is_right(demo_crawl):
    equations = [
        equation
        for row in demo_crawl.rows
        if row["world"] == "lesson"
        for equation in EQUATION.findall(row["body_text"])
    ]
    assert len(equations) > 1000
    assert all(holds(*equation) for equation in equations)
    assert len(set(equations)) > 300  # the 242 facts of the table, and some of two digits


def test_the_alignment_room_reads_the_files(demo_crawl):
    records = pytest.importorskip("lm.chat.records")
    for kind, name in (
        (records.Instruction, "instructions"),
        (records.Preference, "preferences"),
        (records.Problem, "problems"),
    ):
        assert len(records.read_records(kind, demo_crawl.folder / f"{name}.jsonl")) == demo_crawl.counts[f"num_{name}"]


def test_every_file_mixes_bare_sums_and_word_problems(demo_crawl):
    for name in ("instructions", "preferences", "problems"):
        prompts = [record["prompt"] for record in demo_crawl.json_lines(f"{name}.jsonl")]
        bare = sum(
            not re.search(r"[a-z] (has|had|have|wants|took|counts|found|are|is in|sold)", prompt) for prompt in prompts
        )
        assert 0.1 < bare / len(prompts) < 0.5
