"""The generation log: entropies are those of each answer alone, and right and wrong answers are apart."""

import json

import pytest
import torch

pytest.importorskip("lm.tokenizer")

from lm.alignment.generations import generation_means, mean_entropies, write_generations
from lm.chat.records import Problem
from lm.chat.template import encode_prompt, end_id
from lm.evaluation.answers import JudgedAnswer, answer_problems
from lm.inference.engine import GenerationConfig
from lm.model import load_model
from lm.tokenizer import Tokenizer


def problem(number, answer=4):
    return Problem(id=str(number), prompt="2 + 2?" + " " * number, answer=answer, split="heldout")


def judged(tokenizer, number, text, ended=True):
    ids = [*tokenizer.encode(text), *([end_id(tokenizer)] if ended else [])]
    return JudgedAnswer(problem(number), text, ended, tuple(ids))


def test_entropies_are_those_of_each_answer_alone(start, weak):
    tokenizer = Tokenizer.load(start / "tokenizer")
    model = load_model(weak)[0].eval()
    texts = ["#### 4", "2 + 2 = 4\n#### 4", "I do not know", "#### 5"]
    answers = [judged(tokenizer, number, text, number != 2) for number, text in enumerate(texts)]
    found = list(mean_entropies(model, tokenizer, answers, rows_at_once=3))
    for answer, entropy in zip(answers, found, strict=True):
        prompt = encode_prompt(tokenizer, answer.problem.prompt)
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *answer.token_ids]]))[0, len(prompt) - 1 : -1].double()
        by_token = torch.distributions.Categorical(logits=logits).entropy()
        assert len(by_token) == len(answer.token_ids)
        assert entropy == pytest.approx(by_token.mean().item(), abs=1e-5)
    assert list(mean_entropies(model, tokenizer, [])) == []


def test_the_log_has_every_answer_and_its_means_are_apart(start, weak, tmp_path):
    tokenizer = Tokenizer.load(start / "tokenizer")
    model = load_model(weak)[0].eval()
    texts = ["#### 4", "#### 5", "4", "2 + 2 = 4\n#### 4"]
    answers = [judged(tokenizer, number, text) for number, text in enumerate(texts)]
    means = write_generations(tmp_path / "log", model, tokenizer, answers, format_reward=0.25)
    rows = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [row["reward"] for row in rows] == [1.0, 0.25, 0.0, 1.0]
    assert [row["num_tokens"] for row in rows] == [len(answer.token_ids) for answer in answers]
    assert {"prompt", "expected", "response", "entropy", "verified", "well_formed"} <= rows[0].keys()
    right, wrong = [rows[0], rows[3]], rows[1:3]
    for name, chosen in (("right", right), ("wrong", wrong)):
        assert means[name]["num_answers"] == 2
        for each in ("reward", "entropy", "num_tokens"):
            assert means[name][each] == pytest.approx(sum(row[each] for row in chosen) / 2)
    alone = generation_means(right)
    assert alone["wrong"] == {"num_answers": 0, "reward": None, "entropy": None, "num_tokens": None}
    assert write_generations(tmp_path / "none", model, tokenizer, [])["right"]["num_answers"] == 0


def test_drawn_answers_keep_their_ids(start, weak):
    tokenizer = Tokenizer.load(start / "tokenizer")
    model = load_model(weak)[0].eval()
    greedy = GenerationConfig(max_new_tokens=12, temperature=0.0)
    for answer in answer_problems(model, tokenizer, [problem(0), problem(1, 5)], greedy):
        assert (answer.token_ids[-1] == end_id(tokenizer)) == answer.finished
        assert tokenizer.decode(list(answer.token_ids[: -1 if answer.finished else None])) == answer.response
