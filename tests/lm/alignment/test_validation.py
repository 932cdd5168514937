"""Evaluations on the way: when they are due, which model is kept, and which problems judge it."""

import json
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("safetensors")
pytest.importorskip("lm.tokenizer")

from lm.alignment import validation as module
from lm.alignment.config import DeviceConfig, GRPOConfig, PPOConfig, ReportConfig
from lm.alignment.control import train_control
from lm.alignment.grpo import train_grpo
from lm.alignment.policy import Policy
from lm.alignment.report import write_evaluation_report
from lm.alignment.validation import Validation, judging, published_step, split_off
from lm.chat.records import Problem, of_split, read_records
from lm.errors import ConfigurationError, InputError
from lm.evaluation.answers import JudgedAnswer
from lm.model import TransformerLM, load_model, preset
from tests.lm.alignment.test_stages import SMALL, places

HELDOUT = [Problem(id=str(n), prompt=f"{n}?", answer=n, split="heldout") for n in range(10)]


def evaluated(monkeypatch, rewards, **settings):
    """A validation whose evaluations have these rewards, and its model, which has its step as every weight."""
    coming = iter(rewards)

    def answer(*_, **__):
        right = next(coming)
        return [JudgedAnswer(each, f"#### {each.answer if i < right else -1}", True) for i, each in enumerate(HELDOUT)]

    monkeypatch.setattr(module, "answer_problems", answer)
    model = TransformerLM(preset("test"))
    policy = SimpleNamespace(model=model, tokenizer=None)
    reward_fn = lambda response, truth: {"reward": float(response == f"#### {truth}")}  # noqa: E731
    return Validation(policy, HELDOUT, GRPOConfig(**settings), reward_fn), model


def run(validation, model, steps):
    rows = []
    for step in steps:
        with torch.no_grad():
            for weight in model.parameters():
                weight.fill_(float(step))
        rows.append(validation.after(step))
    return rows


@pytest.mark.parametrize("keep_best", [True, False])
def test_it_is_due_every_so_many_steps_and_at_the_end_and_the_best_is_kept(monkeypatch, keep_best):
    validation, model = evaluated(
        monkeypatch, [3, 7, 7, 5], evaluate_every=2, num_steps=7, keep_best=keep_best, validation_problems=10
    )
    rows = run(validation, model, range(1, 8))
    assert [row.get("validation_reward") for row in rows] == [None, 0.3, None, 0.7, None, 0.7, 0.5]
    assert rows[1]["validation_verified_rate"] == 0.3
    facts = validation.finish()["validation"]
    published = 4 if keep_best else 7
    assert facts == {"num_problems": 10, "best_step": 4, "best_reward": 0.7, "published_step": published}
    assert all((weight == published).all() for weight in model.parameters())


def test_its_state_goes_on_with_the_best_weights(monkeypatch):
    settings = {"evaluate_every": 1, "num_steps": 3, "keep_best": True}
    first, model = evaluated(monkeypatch, [6], **settings)
    run(first, model, [1])
    state = json.loads(json.dumps(first.state()))
    second, model = evaluated(monkeypatch, [5, 6], **settings)
    second.restore(state, {name: tensor.clone() for name, tensor in first.tensors().items()})
    run(second, model, [2, 3])
    assert second.finish()["validation"]["best_step"] == 1
    assert all((weight == 1).all() for weight in model.parameters())


def test_without_evaluations_nothing_is_noted(monkeypatch):
    validation, model = evaluated(monkeypatch, [])
    assert run(validation, model, [1, 90]) == [{}, {}] and validation.finish() == {}


@pytest.mark.parametrize("kind", [GRPOConfig, PPOConfig])
def test_the_best_is_not_kept_without_evaluations(kind):
    with pytest.raises(ConfigurationError, match="keep_best: true without evaluations, expected evaluate_every"):
        kind(keep_best=True)


def test_validation_problems_are_the_last_and_no_others(tmp_path):
    judges, chosen = split_off(HELDOUT, GRPOConfig(evaluate_every=5, validation_problems=4), tmp_path)
    assert [each.id for each in judges] == list("012345") and [each.id for each in chosen] == list("6789")
    assert split_off(HELDOUT, GRPOConfig(), tmp_path) == (HELDOUT, [])
    with pytest.raises(InputError, match="10 held-out problems, expected more than validation_problems = 10"):
        split_off(HELDOUT, GRPOConfig(evaluate_every=5, validation_problems=10), tmp_path)


def test_no_problem_that_chose_a_model_judges_one(tmp_path):
    models = [
        SimpleNamespace(config={}),
        SimpleNamespace(config={"keep_best": True, "validation_problems": 3}),
        SimpleNamespace(config={"keep_best": False, "validation_problems": 9}),
    ]
    assert judging(HELDOUT, models, tmp_path) == HELDOUT[:7] and judging(HELDOUT, models[:1], tmp_path) == HELDOUT
    models[1].config["validation_problems"] = 10
    with pytest.raises(InputError, match="all 10 held-out problems were used for model selection"):
        judging(HELDOUT, models, tmp_path)


def test_the_published_model_is_that_of_the_best_step(start, weak, shards, tmp_path):
    """At a rate that destroys it the model is best early; report and control go by what was published."""
    settings = {"num_steps": 6, "batch_size": 8, "group_size": 8, "learning_rate": 0.03, "warmup_steps": 5, **SMALL}
    config = GRPOConfig(
        **settings, evaluate_every=1, keep_best=True, validation_problems=8, replay_windows=1, evaluation_problems=16
    )
    paths = {**places(start, tmp_path / "grpo", model=weak.path), "problems": start / "problems.jsonl"}
    artifact = train_grpo(config, **paths, shards=shards)
    rows = [json.loads(line) for line in artifact.file("metrics.jsonl").read_text().splitlines()]
    rewards = [row["validation_reward"] for row in rows]
    facts = artifact.summary["validation"]
    assert facts["best_reward"] == max(rewards) > rewards[-1]
    assert facts["published_step"] == facts["best_step"] == 1 + rewards.index(max(rewards)) == published_step(artifact)
    heldout = of_split(read_records(Problem, paths["problems"]), "heldout", paths["problems"])
    policy = Policy(load_model(artifact)[0], None)
    assert artifact.summary["greedy"]["num_responses"] == len(heldout) - 8
    from lm.tokenizer import Tokenizer

    reward_fn = lambda response, truth: {"reward": float(response.endswith(f"#### {truth}"))}  # noqa: E731
    again = Validation(
        Policy(policy.model, Tokenizer.load(paths["tokenizer"])), heldout[-8:], GRPOConfig(evaluate_every=6), reward_fn
    )
    assert again.after(6)["validation_reward"] == facts["best_reward"]
    control = train_control(
        DeviceConfig(device="cpu", num_threads=1),
        model=weak.path,
        stages={"grpo": artifact.path},
        tokenizer=paths["tokenizer"],
        shards=shards,
        output=tmp_path / "control",
    )
    assert control.summary["grpo"]["num_updates"] == facts["published_step"]
    report = write_evaluation_report(
        {"grpo": artifact.path},
        paths["tokenizer"],
        paths["problems"],
        tmp_path / "report",
        config=ReportConfig(device="cpu", num_threads=1, max_new_tokens=12),
    )
    assert json.loads(report.file("report.json").read_text())["num_problems"] == len(heldout) - 8
