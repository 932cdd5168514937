"""Answers are judged by their text and their end, and the rates count them."""

import pytest

pytest.importorskip("lm.tokenizer")

from lm.chat.records import Problem
from lm.chat.template import encode_example
from lm.evaluation.answers import JudgedAnswer, answer_problems, answer_rates, evaluate_answers, judge
from lm.inference import Completion, GenerationConfig
from lm.model import load_model
from lm.storage import open_artifact
from lm.tokenizer import Tokenizer
from tests.lm.alignment.conftest import start  # noqa: F401 - a fixture

PROBLEM = Problem(id="p", prompt="2 + 2?", answer=4, split="heldout")


def answer(response, finished=True):
    return JudgedAnswer(PROBLEM, response, finished)


def test_rates_count_form_and_truth_apart():
    answers = [answer("2 + 2 = 4\n#### 4"), answer("#### 5"), answer("4"), answer("#### 4", finished=False)]
    rates = answer_rates(answers)
    assert (rates.num_responses, rates.well_formed_rate, rates.verified_rate) == (4, 0.5, 0.25)
    assert rates.verified_standard_error == pytest.approx((0.25 * 0.75 / 4) ** 0.5)
    assert [row.as_row()["answer"] for row in answers] == [4, 5, None, 4]
    assert [row.as_row()["verified"] for row in answers] == [True, False, False, False]


def test_a_completion_is_judged_without_its_end(start):  # noqa: F811
    tokenizer = Tokenizer.load(start / "tokenizer")
    example = encode_example(tokenizer, PROBLEM.prompt, "2 + 2 = 4\n#### 4")
    ids = example.token_ids[example.num_prompt_tokens :]
    whole, cut = (
        judge(tokenizer, PROBLEM, Completion(part, [0.0] * len(part), done))
        for part, done in ((ids, True), (ids[:-1], False))
    )
    assert whole.response == cut.response == "2 + 2 = 4\n#### 4"
    assert whole.is_verified
    assert not cut.is_verified


def test_every_problem_is_answered_in_order_and_repeatably(start):  # noqa: F811
    tokenizer = Tokenizer.load(start / "tokenizer")
    model, _ = load_model(open_artifact(start / "model"))
    problems = [Problem(id=f"{n}", prompt="1 + 1? " * n, answer=2, split="heldout") for n in (3, 1, 2)]
    answers = answer_problems(model, tokenizer, problems, GenerationConfig(max_new_tokens=5), num_samples=2, seed=1)
    assert [answer.problem.id for answer in answers] == ["3", "3", "1", "1", "2", "2"]
    rates, greedy = evaluate_answers(model, tokenizer, problems, max_new_tokens=5, seed=1)
    assert rates.keys() == {"greedy", "sampled"}
    assert rates["greedy"]["num_responses"] == len(greedy) == 3
    assert evaluate_answers(model, tokenizer, problems, max_new_tokens=5, seed=1) == (rates, greedy)
